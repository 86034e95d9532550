-- How long a claim lasts in milliseconds, and how many a tenant may have; how long one claim takes up
-- the rate of all, and of its tenant, and the period of both, in microseconds: 0 for no rate. The run,
-- its tenant, priority, fence, attempt, and whether anybody has a turn still, or 0; or how long to wait at
-- most, if it is known.
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
if known[1] then return {'', ''} end
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
if free('', every) > micros then return {'', text(until_free(free('', every)))} end
local taken, more
while not taken do
    local tenant = redis.call('ZRANGE', turns, 0, 0)[1]
    if not tenant then
        local at = tonumber(redis.call('ZRANGE', held, 0, 0, 'WITHSCORES')[2])
        local wait = at and until_free(at)
        for _, later in ipairs({claimed, delayed}) do
            local due = tonumber(redis.call('ZRANGE', later, 0, 0, 'WITHSCORES')[2])
            if due and (not wait or due - now < wait) then wait = math.max(due - now, 1) end
        end
        return {'', text(wait)}
    end
    local next = first(tenant, 2)
    more = next[2]
    if not next[1] or count(tenant, 'c') >= tonumber(ARGV[2]) then
        -- What it finishes gives it a turn again.
        redis.call('ZREM', turns, tenant)
    elseif free(tenant, tenant_every) > micros then
        redis.call('ZREM', turns, tenant)
        redis.call('ZADD', held, text(free(tenant, tenant_every)), tenant)
    else
        taken = read(string.sub(next[1], -36))
        if not taken or taken.state ~= 'r' then
            taken = nil
            redis.call('ZREM', ready, next[1])
        end
    end
end
take_out(taken)
take_up('', every)
take_up(taken.tenant, tenant_every)
-- Later than the one before, and than any before the server lost what it knew.
local fence = math.max(micros, (tonumber(known[2]) or 0) + 1)
redis.call('HSET', meta, 'fence', text(fence))
taken.state, taken.a, taken.b, taken.attempt = 'c', fence, nil, taken.attempt + 1
write(taken)
redis.call('ZADD', claimed, text(now + tonumber(ARGV[1])), taken.run)
redis.call('ZADD', places, 0, place(taken))
if more then
    redis.call('ZADD', turns, redis.call('HINCRBY', meta, 'turn', 1), taken.tenant)
else
    redis.call('ZREM', turns, taken.tenant)
end
return {
    taken.run, taken.tenant, text(taken.priority), text(fence), text(taken.attempt),
    more and '1' or text(redis.call('ZCARD', turns)),
}
