-- Limits on a Redis server, after the fact: charges that were taken too high are given back, those
-- taken too low are made good.
--
-- The twin of bucket.rs and window.rs, as check.lua is, and in the same numbers.
--
-- KEYS  one per limit, no two the same, all on one shard
-- ARGV  two per limit. Of a bucket: what to add to the charge, in microseconds, negative to give
--       back; and the time in which the burst is earned and the largest debt is paid. Of a window:
--       what to add to the cost, and the length of a slice, negative
-- Reply 1
--
-- What is given back never makes a bucket more than full; what is charged takes it at most into
-- its largest debt. A window forgets what is given back where it would soon be forgotten anyway:
-- when it was charged nobody says, and so it errs on the strict side. Sent once: a repetition would
-- give or take twice.

local STEP = 1000000
local SLICES = 8
local MOST = 4294967295

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local found = redis.call('MGET', unpack(KEYS))

local function keep(key, value, left)
  redis.call('SET', key, value, 'PX', string.format('%.0f', math.ceil(left / 1000) + 1))
end

local function bucket(key, value, change, worst)
  local ahead = math.max(0, (tonumber(value) or 0) - now)
  if ahead > worst + STEP then
    ahead = worst
  end
  local left = math.max(math.min(ahead + change, math.max(worst, ahead)), 0)
  if left > 0 then
    keep(key, string.format('%.0f', now + left), left)
  elseif ahead > 0 then
    redis.call('DEL', key)
  end
end

local function window(key, value, change, slice)
  local numbers = {}
  for number in string.gmatch(value or '', '%d+') do
    numbers[#numbers + 1] = tonumber(number)
  end
  local ends, counts, sum = now + SLICES * slice, { 0, 0, 0, 0, 0, 0, 0, 0 }, 0
  if #numbers == SLICES + 1 and now < numbers[1] then
    local began = numbers[1] - SLICES * slice
    local by = math.max(0, math.floor((now - began) / slice))
    for i = by + 1, SLICES do
      counts[i] = numbers[1 + i - by]
      sum = sum + counts[i]
    end
    if began - now > STEP then
      counts = { math.min(sum, MOST), 0, 0, 0, 0, 0, 0, 0 }
    else
      ends = numbers[1] + by * slice
    end
  elseif change <= 0 then
    return
  end
  if change > 0 then
    counts[1] = math.min(counts[1] + change, MOST)
  else
    local rest = -change
    for i = SLICES, 1, -1 do
      local less = math.min(rest, counts[i])
      counts[i], rest = counts[i] - less, rest - less
    end
  end
  local kept = string.format('%.0f', ends)
  for i = 1, SLICES do
    kept = kept .. string.format(' %.0f', counts[i])
  end
  keep(key, kept, ends - now)
end

for i = 1, #KEYS do
  local change, worst = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
  if worst < 0 then
    window(KEYS[i], found[i], change, -worst)
  else
    bucket(KEYS[i], found[i], change, worst)
  end
end

return 1
