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

if redis.call('HEXISTS', meta, 'paused') == 1 then return {0, '', {}} end
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

-- What is known of a tenant: its first tasks, the place of the next, how many are claimed.
local known = {}

-- The next task of a tenant, or nothing; and whether it has a turn still.
local function take(tenant, many)
    local of = known[tenant]
    if not of then
        of = {first = first(tenant, many), at = 1, claims = count(tenant, 'c')}
        known[tenant] = of
    end
    while true do
        -- What it finishes gives it a turn again.
        if not of.first[of.at] or of.claims >= tonumber(ARGV[2]) then return nil, false end
        if free(tenant, tenant_every) > micros then
            redis.call('ZADD', held, text(free(tenant, tenant_every)), tenant)
            return nil, false
        end
        local task = read(string.sub(of.first[of.at], -36))
        local is_ready = task and task.state == 'r'
        redis.call('ZREM', ready, of.first[of.at])
        of.at = of.at + 1
        if not of.first[of.at] and #of.first == many then of.first, of.at = first(tenant, many), 1 end
        if is_ready then
            of.claims = of.claims + 1
            return task, of.first[of.at] ~= nil
        end
    end
end

local claims = {}

local function claim(task)
    take_up('', every)
    take_up(task.tenant, tenant_every)
    task.state, task.a, task.b, task.attempt = 'c', stamp(), nil, task.attempt + 1
    write(task)
    redis.call('ZADD', claimed, text(now + tonumber(ARGV[1])), task.run)
    redis.call('ZADD', places, 0, place(task))
    for _, field in ipairs({task.run, task.tenant, text(task.priority), text(task.a), text(task.attempt)}) do
        table.insert(claims, field)
    end
end

local left, limit = tonumber(ARGV[6]), nil
while left > 0 and not limit do
    local line = redis.call('ZRANGE', turns, 0, left - 1)
    if not line[1] then
        limit = wait()
        break
    end
    -- Whether nobody else has a turn: then these take turns among themselves.
    local whole, many, at = #line < left, math.ceil(left / #line) + 1, 1
    while left > 0 and line[at] and not limit do
        local tenant = line[at]
        if free('', every) > micros then
            limit = text(until_free(free('', every)))
        else
            at = at + 1
            local task, more = take(tenant, many)
            if task then
                claim(task)
                left = left - 1
            end
            if not more then
                redis.call('ZREM', turns, tenant)
            elseif whole then
                table.insert(line, tenant)
            else
                redis.call('ZADD', turns, text(stamp()), tenant)
            end
        end
    end
    if whole then
        for rest = at, #line do redis.call('ZADD', turns, text(stamp()), line[rest]) end
    end
end
return done({redis.call('ZCARD', turns), limit or '', claims})
