-- How long a claim lasts in milliseconds, and how many a tenant may have. The run, its tenant,
-- priority, fence, attempt, and whether anybody has a turn still, or 0; or how long to wait at most,
-- if it is known.
local known = redis.call('HMGET', meta, 'paused', 'fence')
if known[1] then return {'', ''} end
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
local taken, more
while not taken do
    local tenant = redis.call('ZRANGE', turns, 0, 0)[1]
    if not tenant then
        local wait
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
    else
        taken = read(string.sub(next[1], -36))
        if not taken or taken.state ~= 'r' then
            taken = nil
            redis.call('ZREM', ready, next[1])
        end
    end
end
take_out(taken)
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
    taken.run, taken.tenant, text(taken.priority), text(fence), text(taken.attempt), more and '1' or text(redis.call('ZCARD', turns)),
}
