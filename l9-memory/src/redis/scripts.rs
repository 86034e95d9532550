//! What Redis does as one: every script touches keys of one tenant only, which share a hash
//! tag and so a slot of a cluster.
//!
//! `KEYS[1]` is the tenant's version, which every change makes another; `KEYS[2]` is the set of
//! its entries by the time they go, in milliseconds of the server's clock. A version is the
//! server's time in microseconds, and later than the one before: also a server that lost what
//! it was told last gives none twice.

/// The version, the time, and, unless the version is that of `ARGV[1]`, what is there.
pub(super) const LOOK: &str = r"
local version = redis.call('GET', KEYS[1]) or ''
local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
if version ~= '' and version == ARGV[1] then return {version, now, {}} end
return {version, now, redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. now, '+inf', 'WITHSCORES')}
";

/// Keeps entries for `ARGV[2]` milliseconds if the version is still `ARGV[1]`: the ids and sealed
/// bytes follow in turn, their keys from `KEYS[3]` on. The new version and when they go, or
/// nothing.
pub(super) const KEEP: &str = r"
local version = redis.call('GET', KEYS[1]) or ''
if version ~= ARGV[1] then return {} end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local gone = string.format('%.0f', now + ARGV[2])
for at = 3, #KEYS do
    local place = 2 * at - 3
    redis.call('SET', KEYS[at], ARGV[place + 1], 'PX', ARGV[2])
    redis.call('ZADD', KEYS[2], gone, ARGV[place])
end
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', string.format('%.0f', now))
local next = math.max(time[1] * 1000000 + time[2], (tonumber(version) or 0) + 1)
redis.call('SET', KEYS[1], string.format('%.0f', next), 'KEEPTTL')
for at = 1, 2 do
    if redis.call('PTTL', KEYS[at]) < tonumber(ARGV[2]) then redis.call('PEXPIRE', KEYS[at], ARGV[2]) end
end
return {redis.call('GET', KEYS[1]), gone}
";

/// Removes the entries of the ids in `ARGV`, their keys from `KEYS[3]` on; how many there were.
pub(super) const FORGET: &str = r"
local removed = 0
for at = 1, #ARGV do
    redis.call('ZREM', KEYS[2], ARGV[at])
    removed = removed + redis.call('DEL', KEYS[at + 2])
end
if removed > 0 then
    local time = redis.call('TIME')
    local next = math.max(time[1] * 1000000 + time[2], (tonumber(redis.call('GET', KEYS[1]) or '') or 0) + 1)
    redis.call('SET', KEYS[1], string.format('%.0f', next), 'KEEPTTL')
    local left = redis.call('PTTL', KEYS[2])
    if redis.call('PTTL', KEYS[1]) == -1 and left > 0 then redis.call('PEXPIRE', KEYS[1], left) end
end
return removed
";
