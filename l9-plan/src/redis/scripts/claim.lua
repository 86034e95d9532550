-- How long a claim lasts in milliseconds, and how many a tenant may have; how long one claim takes up
-- the rate of all, and of its tenant, and the period of both, in microseconds: 0 for no rate; how many
-- are wanted. Whether anybody has a turn still; if fewer were found, how long to wait at most, where
-- that is known; and of each claim its run, tenant, priority, fence and attempt.
local every, tenant_every, period = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])

-- The time from which on a rate lets one more be claimed.
local function free(name, each)
    return each == 0 and 0 or (tonumber(redis.call('ZSCORE', rates, name)) or 0) + each - period
end

local function take_up(name, each)
    if each == 0 then return end
    local before = tonumber(redis.call('ZSCORE', rates, name)) or 0
    redis.call('ZADD', rates, text(math.max(before, micros) + each), name)
end

-- How long to wait for a time in microseconds, in milliseconds.
local function until_free(at)
    return math.max(math.ceil((at - micros) / 1000), 1)
end

local known = redis.call('HMGET', meta, 'paused', 'fence')
if known[1] then return {0, '', {}} end
if every > 0 or tenant_every > 0 then redis.call('ZREMRANGEBYSCORE', rates, '-inf', text(micros)) end
for _, tenant in ipairs(redis.call('ZRANGEBYSCORE', held, '-inf', text(micros), 'LIMIT', 0, 64)) do
    redis.call('ZREM', held, tenant)
    if first(tenant, 1)[1] then turn(tenant) end
end
for _, over in ipairs({claimed, delayed}) do
    for _, run in ipairs(redis.call('ZRANGEBYSCORE', over, '-inf', text(now), 'LIMIT', 0, 64)) do
        local task = read(run)
        if task then
            take_out(task)
            put(task, now)
        end
        redis.call('ZREM', over, run)
    end
end

-- How long it may be until somebody has a turn.
local function wait()
    local at = tonumber(redis.call('ZRANGE', held, 0, 0, 'WITHSCORES')[2])
    local wait = at and until_free(at)
    for _, later in ipairs({claimed, delayed}) do
        local due = tonumber(redis.call('ZRANGE', later, 0, 0, 'WITHSCORES')[2])
        if due and (not wait or due - now < wait) then wait = math.max(due - now, 1) end
    end
    return text(wait)
end

-- The next task, and whether its tenant has more; or nothing, and how long to wait.
local function take()
    if free('', every) > micros then return nil, text(until_free(free('', every))) end
    while true do
        local tenant = redis.call('ZRANGE', turns, 0, 0)[1]
        if not tenant then return nil, wait() end
        local next = first(tenant, 2)
        if not next[1] or count(tenant, 'c') >= tonumber(ARGV[2]) then
            -- What it finishes gives it a turn again.
            redis.call('ZREM', turns, tenant)
        elseif free(tenant, tenant_every) > micros then
            redis.call('ZREM', turns, tenant)
            redis.call('ZADD', held, text(free(tenant, tenant_every)), tenant)
        else
            local task = read(string.sub(next[1], -36))
            if task and task.state == 'r' then return task, next[2] end
            redis.call('ZREM', ready, next[1])
        end
    end
end

-- Later than the one before, and than any before the server lost what it knew.
local fence = math.max(micros, (tonumber(known[2]) or 0) + 1)
local claims = {}
for _ = 1, tonumber(ARGV[6]) do
    local task, more = take()
    if not task then
        if #claims > 0 then redis.call('HSET', meta, 'fence', text(fence)) end
        return {0, more, claims}
    end
    take_out(task)
    take_up('', every)
    take_up(task.tenant, tenant_every)
    if #claims > 0 then fence = fence + 1 end
    task.state, task.a, task.b, task.attempt = 'c', fence, nil, task.attempt + 1
    write(task)
    redis.call('ZADD', claimed, text(now + tonumber(ARGV[1])), task.run)
    redis.call('ZADD', places, 0, place(task))
    if more then
        redis.call('ZADD', turns, redis.call('HINCRBY', meta, 'turn', 1), task.tenant)
    else
        redis.call('ZREM', turns, task.tenant)
    end
    for _, field in ipairs({task.run, task.tenant, text(task.priority), text(fence), text(task.attempt)}) do
        table.insert(claims, field)
    end
end
redis.call('HSET', meta, 'fence', text(fence))
return {redis.call('ZCARD', turns), '', claims}
