-- Whether nobody may claim.
if ARGV[1] == '1' then
    redis.call('HSET', meta, 'paused', 1)
else
    redis.call('HDEL', meta, 'paused')
    redis.call('PUBLISH', meta, 'resumed')
end
