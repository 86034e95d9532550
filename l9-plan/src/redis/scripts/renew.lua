-- How long claims last from now on in milliseconds, then run and fence of each.
for at = 2, #ARGV, 2 do
    local task = read(ARGV[at])
    if task and task.state == 'c' and task.a == tonumber(ARGV[at + 1]) then
        redis.call('ZADD', claimed, text(now + tonumber(ARGV[1])), task.run)
    end
end
