-- What every script begins with. All keys share a hash tag, and so a slot of a cluster:
--   tasks    hash: of each run `tenant|priority|attempt|state|a|b`
--   ready    sorted by text: `tenant|`, then what goes first, then the run
--   delayed  by the time they are due, in milliseconds of the server's clock
--   claimed  by the time the claim ends
--   places   sorted by text: `tenant|state|run` of delayed and claimed tasks
--   turns    the tenants of which something may be claimed, by their turn
--   rates    what the claims of a tenant, and of all under no name, take up of their rate: the time
--            by which that is over, in microseconds of the server's clock
--   held     tenants that have no turn before their rate lets them, by that time in microseconds
--   meta     the last stamp, and whether the queue is paused; also the name of the channel
-- A task is (r)eady, a its ticket; (d)elayed, a its time; or (c)laimed, a its fence and b when it
-- is to go again, if it was enqueued meanwhile. Every command costs: what is the same for all tasks
-- of a script is asked and written once.
local tasks, ready, delayed, claimed, places, turns, meta, rates, held = unpack(KEYS)
local time = redis.call('TIME')
local micros = time[1] * 1000000 + time[2]
local now = math.floor(micros / 1000)

local function text(number)
    return number and string.format('%d', number) or ''
end

-- Tickets, turns and fences: each later than the one before and than the server's clock in
-- microseconds, so that none comes twice when the server lost what it knew.
local last

local function stamp()
    last = math.max(micros, (last or tonumber(redis.call('HGET', meta, 'last')) or 0) + 1)
    return last
end

-- The end of a script that gave out stamps.
local function done(answer)
    if last then redis.call('HSET', meta, 'last', text(last)) end
    return answer
end

local function read(run)
    local kept = redis.call('HGET', tasks, run)
    if not kept then return nil end
    local tenant, priority, attempt, state, a, b = string.match(kept, '^([^|]*)|(%-?%d+)|(%d+)|(%a)|(%d*)|(%d*)$')
    return {
        run = run, tenant = tenant, priority = tonumber(priority), attempt = tonumber(attempt),
        state = state, a = tonumber(a), b = tonumber(b),
    }
end

local function write(task)
    local fields = {task.tenant, text(task.priority), text(task.attempt), task.state, text(task.a), text(task.b)}
    redis.call('HSET', tasks, task.run, table.concat(fields, '|'))
end

-- Greater priority first, then the lesser ticket.
local function member(task)
    return task.tenant .. '|' .. string.format('%010d%016d', 2147483647 - task.priority, task.a) .. task.run
end

local function place(task)
    return task.tenant .. '|' .. task.state .. '|' .. task.run
end

-- How many of a tenant's tasks are in a state, claimed or delayed.
local function count(tenant, state)
    return redis.call('ZLEXCOUNT', places, '[' .. tenant .. '|' .. state .. '|', '(' .. tenant .. '|' .. state .. '}')
end

-- The first so many ready tasks of a tenant.
local function first(tenant, many)
    return redis.call('ZRANGEBYLEX', ready, '[' .. tenant .. '|', '(' .. tenant .. '}', 'LIMIT', 0, many)
end

-- Gives a tenant its turn, after all that have theirs, unless its rate holds it back. Who waits is
-- told when nobody had one.
local turned = {}

local function turn(tenant)
    if turned[tenant] then return end
    turned[tenant] = true
    if redis.call('ZSCORE', turns, tenant) or redis.call('ZSCORE', held, tenant) then return end
    if redis.call('ZCARD', turns) == 0 then redis.call('PUBLISH', meta, 'ready') end
    redis.call('ZADD', turns, text(stamp()), tenant)
end

local function take_out(task)
    if task.state == 'r' then
        redis.call('ZREM', ready, member(task))
        return
    end
    redis.call('ZREM', task.state == 'd' and delayed or claimed, task.run)
    redis.call('ZREM', places, place(task))
end

local function put(task, at)
    task.b = nil
    if at <= now then
        task.state, task.a = 'r', stamp()
        redis.call('ZADD', ready, 0, member(task))
        turn(task.tenant)
    else
        task.state, task.a = 'd', at
        redis.call('ZADD', delayed, text(at), task.run)
        redis.call('ZADD', places, 0, place(task))
        -- Who waits must wake earlier now.
        if redis.call('ZRANGE', delayed, 0, 0)[1] == task.run then redis.call('PUBLISH', meta, 'delayed') end
    end
    write(task)
end

