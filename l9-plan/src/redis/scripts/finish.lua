-- run, fence, the wait before it goes again in milliseconds or nothing, whether that is an
-- attempt that failed: 1, or 0 if the fence is an old one.
local task = read(ARGV[1])
if not task or task.state ~= 'c' or task.a ~= tonumber(ARGV[2]) then return 0 end
local again = task.b
take_out(task)
if ARGV[3] ~= '' then
    local at = now + tonumber(ARGV[3])
    again = again and math.min(again, at) or at
end
if ARGV[4] ~= '1' then task.attempt = 0 end
if again then put(task, again) else redis.call('HDEL', tasks, task.run) end
-- The tenant may have been at its bound.
if first(task.tenant, 1)[1] then turn(task.tenant) end
return 1
