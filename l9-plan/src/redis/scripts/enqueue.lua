-- The capacity, then of each task: run, tenant, priority, delay in milliseconds. Of each 1, or 0 if
-- the queue is full.
local known, capacity = redis.call('HLEN', tasks), tonumber(ARGV[1])

local function enqueue(run, tenant, priority, at)
    local task = read(run)
    if not task then
        if known >= capacity then return 0 end
        known = known + 1
        put({run = run, tenant = tenant, priority = priority, attempt = 0}, at)
        return 1
    end
    local greater = priority > task.priority
    if task.state == 'c' and redis.call('ZSCORE', claimed, run) then
        task.priority = math.max(priority, task.priority)
        task.b = task.b and math.min(task.b, at) or at
        write(task)
    elseif task.state == 'd' and redis.call('ZSCORE', delayed, run) then
        if greater or at < task.a then
            take_out(task)
            task.priority = math.max(priority, task.priority)
            put(task, math.min(task.a, at))
        end
    elseif task.state == 'r' then
        if greater then
            redis.call('ZREM', ready, member(task))
            task.priority = priority
            write(task)
        end
        -- It keeps its place, and gets it back where a key was evicted.
        redis.call('ZADD', ready, 0, member(task))
        turn(task.tenant)
    else
        -- The key that it stood in was evicted.
        take_out(task)
        put(task, at)
    end
    return 1
end

local taken = {}
for at = 2, #ARGV, 4 do
    table.insert(taken, enqueue(ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2]), now + tonumber(ARGV[at + 3])))
end
return done(taken)
