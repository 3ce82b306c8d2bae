-- Requests under way, on a Redis server: says which still are, and which have ended.
--
-- KEYS  whose requests they are
-- ARGV  how long one counts unless it is renewed, in microseconds; how many names follow that are
--       still under way; those; then those that have ended
-- Reply 1
--
-- The twin of begin.lua. Those that the server has forgotten, or was never told of, count again.

local STEP = 1000000

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local lease, renewed = tonumber(ARGV[1]), tonumber(ARGV[2])
local ends = string.format('%.0f', now + lease)

if #ARGV > 2 + renewed then
  redis.call('ZREM', KEYS[1], unpack(ARGV, 3 + renewed))
end
if renewed > 0 then
  for i = 3, 2 + renewed do
    redis.call('ZADD', KEYS[1], ends, ARGV[i])
  end
  local kept = math.ceil((lease + STEP) / 1000)
  if redis.call('PTTL', KEYS[1]) < kept then
    redis.call('PEXPIRE', KEYS[1], string.format('%.0f', kept))
  end
end
return 1
