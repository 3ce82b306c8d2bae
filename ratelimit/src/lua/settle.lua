-- Token buckets on a Redis server, after the fact: charges that were taken too high are given back,
-- those taken too low are made good.
--
-- The twin of bucket.rs, as gcra.lua is, and in the same numbers.
--
-- KEYS  one per limit, no two the same, all on one shard
-- ARGV  two per limit: what to add to the charge, in microseconds, negative to give back; and the
--       time in which the burst is earned and the largest debt is paid
-- Reply 1
--
-- What is given back never makes a bucket more than full; what is charged takes it at most into
-- its largest debt. Sent once: a repetition would give or take twice.

local STEP = 1000000

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local full_at = redis.call('MGET', unpack(KEYS))

for i = 1, #KEYS do
  local change, worst = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
  local ahead = math.max(0, (tonumber(full_at[i]) or 0) - now)
  if ahead > worst + STEP then
    ahead = worst
  end
  local left = math.max(math.min(ahead + change, math.max(worst, ahead)), 0)
  if left > 0 then
    local expires = string.format('%.0f', math.ceil(left / 1000) + 1)
    redis.call('SET', KEYS[i], string.format('%.0f', now + left), 'PX', expires)
  elseif ahead > 0 then
    redis.call('DEL', KEYS[i])
  end
end

return 1
