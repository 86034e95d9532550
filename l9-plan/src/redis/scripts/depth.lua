-- A tenant, or nothing for all: ready, delayed, claimed, whether it is paused, and how long the
-- oldest ready task of all has waited, in milliseconds.
local paused = redis.call('HEXISTS', meta, 'paused')
if ARGV[1] ~= '' then
    local waiting = redis.call('ZLEXCOUNT', ready, '[' .. ARGV[1] .. '|', '(' .. ARGV[1] .. '}')
    return {waiting, count(ARGV[1], 'd'), count(ARGV[1], 'c'), paused, ''}
end
local oldest = tonumber(redis.call('ZRANGE', since, 0, 0, 'WITHSCORES')[2])
return {
    redis.call('ZCARD', ready), redis.call('ZCARD', delayed), redis.call('ZCARD', claimed), paused,
    text(oldest and math.max(now - oldest, 0)),
}
