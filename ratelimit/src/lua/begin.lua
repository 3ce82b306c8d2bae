-- Requests under way, on a Redis server: begins one, if there is room.
--
-- KEYS  whose requests they are
-- ARGV  how many there may be; how long one counts unless it is renewed, in microseconds; the name
--       of this one; the names of some that have ended
-- Reply 1 if it may begin, else 0; how many are under way then
--
-- A sorted set of names, each with the moment at which it counts no more: what a gateway had under
-- way when it died is forgotten then. Beginning twice under one name is beginning once. Gateways may
-- differ in how long that is, while one of them has been told otherwise before the others: nobody
-- shortens what others said. The clock is the server's; if it was set back, what would count for
-- longer than anything may counts as just renewed.

local STEP = 1000000
local LONGEST = 3600000000

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local most, lease, name = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local ends = string.format('%.0f', now + lease)

if #ARGV > 3 then
  redis.call('ZREM', KEYS[1], unpack(ARGV, 4))
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now))
local late = string.format('(%.0f', now + math.max(lease, LONGEST) + STEP)
for _, other in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], late, '+inf')) do
  redis.call('ZADD', KEYS[1], ends, other)
end

local under_way = redis.call('ZCARD', KEYS[1])
local again = redis.call('ZSCORE', KEYS[1], name)
if not again and under_way >= most then
  return { 0, under_way }
end
redis.call('ZADD', KEYS[1], ends, name)
local kept = math.ceil((lease + STEP) / 1000)
if redis.call('PTTL', KEYS[1]) < kept then
  redis.call('PEXPIRE', KEYS[1], string.format('%.0f', kept))
end
return { 1, under_way + (again and 0 or 1) }
