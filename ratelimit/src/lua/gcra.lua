-- Token buckets on a Redis server: all limits of a request in one call, all charged or none.
--
-- The twin of bucket.rs, in whole microseconds. Numbers are doubles here: exact up to 2^53, which
-- microseconds since 1970 and every sum below stay under (the caller bounds what it sends), and
-- never turned into text but by '%.0f', since tostring keeps 14 digits only.
--
-- KEYS  one per limit, no two the same, all on one shard
-- ARGV  four per limit: the price of the request, the time in which the burst is earned, the same
--       and that in which the largest debt is paid, each in microseconds; 1 for a dry run, else 0
-- Reply 1 if the request passes and is charged, else 0; then for each limit how long its bucket
--       would have taken to be full, in microseconds, before this request
--
-- The clock is the server's: gateways need not agree on the time. A key is the moment at which its
-- bucket is full, one integer, and expires then. Nothing is written for what is denied, but for a
-- key so far ahead that the clock must have been set back: by more than a second beyond the worst.

local STEP = 1000000

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local full_at = redis.call('MGET', unpack(KEYS))

local passes = 1
local ahead, fits, stepped = {}, {}, {}
for i = 1, #KEYS do
  local price, depth = tonumber(ARGV[4 * i - 3]), tonumber(ARGV[4 * i - 2])
  local worst = tonumber(ARGV[4 * i - 1])
  -- In this order what is no number, should anybody have put it there, counts as nothing.
  ahead[i] = math.max(0, (tonumber(full_at[i]) or 0) - now)
  if ahead[i] > worst + STEP then
    ahead[i], stepped[i] = worst, true
  end
  fits[i] = ahead[i] + price <= depth
  if not fits[i] and ARGV[4 * i] ~= '1' then
    passes = 0
  end
end

for i = 1, #KEYS do
  local left = nil
  if not fits[i] then
    left = stepped[i] and ahead[i]
  elseif passes == 1 and ARGV[4 * i - 3] ~= '0' then
    left = ahead[i] + tonumber(ARGV[4 * i - 3])
  end
  if left then
    local expires = string.format('%.0f', math.ceil(left / 1000) + 1)
    redis.call('SET', KEYS[i], string.format('%.0f', now + left), 'PX', expires)
  end
end

return { passes, unpack(ahead) }
