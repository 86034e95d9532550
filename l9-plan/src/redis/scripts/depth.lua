-- A tenant, or nothing for all: ready, delayed, claimed, whether it is paused, and how long the
-- oldest ready task of all has waited, in milliseconds.
local paused = redis.call('HEXISTS', meta, 'paused')
if ARGV[1] ~= '' then
    local waiting = redis.call('ZLEXCOUNT', ready, '[' .. ARGV[1] .. '|', '(' .. ARGV[1] .. '}')
    return {waiting, count(ARGV[1], 'd'), count(ARGV[1], 'c'), paused, ''}
end
-- A ticket is the time since when its task is ready: the first of each tenant and priority is the
-- oldest there.
local oldest, from = nil, '-'
while true do
    local member = redis.call('ZRANGEBYLEX', ready, from, '+', 'LIMIT', 0, 1)[1]
    if not member then break end
    oldest = math.min(oldest or micros, tonumber(string.sub(member, -52, -37)) or micros)
    from = '(' .. string.sub(member, 1, -53) .. ':'
end
return {
    redis.call('ZCARD', ready), redis.call('ZCARD', delayed), redis.call('ZCARD', claimed), paused,
    text(oldest and math.floor((micros - oldest) / 1000)),
}
