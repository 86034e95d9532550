-- run: 1, or 0 if it does not wait.
local task = read(ARGV[1])
if not task or task.state == 'c' then return 0 end
take_out(task)
redis.call('HDEL', tasks, task.run)
return 1
