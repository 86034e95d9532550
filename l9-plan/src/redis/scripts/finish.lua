-- Of each claim: run, fence, the wait before it goes again in milliseconds or nothing, whether that
-- is an attempt that failed. Of each 1, or 0 if the fence is an old one.
local freed = {}

local function finish(run, fence, wait, failed)
    local task = read(run)
    if not task or task.state ~= 'c' or task.a ~= fence then return 0 end
    local again = task.b
    take_out(task)
    if wait then again = again and math.min(again, now + wait) or now + wait end
    if not failed then task.attempt = 0 end
    if again then put(task, again) else redis.call('HDEL', tasks, run) end
    table.insert(freed, task.tenant)
    return 1
end

local current = {}
for at = 1, #ARGV, 4 do
    table.insert(current, finish(ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]), ARGV[at + 3] == '1'))
end
-- They may have been at their bound.
local seen = {}
for _, tenant in ipairs(freed) do
    if not seen[tenant] and first(tenant, 1)[1] then turn(tenant) end
    seen[tenant] = true
end
return done(current)
