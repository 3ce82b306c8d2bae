-- Limits on a Redis server: all limits of a request in one call, all charged or none. A bucket
-- alone is one.lua's.
--
-- The twin of bucket.rs, leaky.rs and window.rs, in whole microseconds. Numbers are doubles here:
-- exact up to 2^53, which microseconds since 1970 and every sum below stay under (the caller bounds
-- what it sends), and never turned into text but by '%d', since tostring keeps 14 digits only.
--
-- KEYS  one per limit, no two the same, all on one shard
-- ARGV  four per limit. Of a bucket: the price of the request, the time in which the burst is
--       earned, the same and that in which the largest debt is paid, each in microseconds. Of a
--       window: what the request costs, the quota, and the length of a slice, negative. Then 1 for
--       a dry run, else 0
-- Reply 1 if the request passes and is charged, else 0. Then for each limit how things were before
--       this request: of a bucket how long it would have taken to be full; of a window how long its
--       newest slice would have been counted, and what is counted in each slice, newest first
--
-- The clock is the server's: gateways need not agree on the time. A bucket's key is the moment at
-- which it is full, one integer; a window's is the moment at which its newest slice is forgotten,
-- and eight counts. Both expire then. Nothing is written for what is denied, but for a key so far
-- ahead that the clock must have been set back: by more than a second beyond the worst.

local STEP = 1000000
local SLICES = 8

local call, format = redis.call, string.format
local time = call('TIME')
local now = time[1] * 1000000 + time[2]

local found = call('MGET', unpack(KEYS))

local function keep(key, value, left)
  call('SET', key, value, 'PX', format('%d', math.ceil(left / 1000) + 1))
end

-- When the newest slice is forgotten, the counts, their sum, and whether the clock was set back.
local function slide(value, slice)
  local numbers, sum = {}, 0
  for number in string.gmatch(value or '', '%d+') do
    numbers[#numbers + 1] = tonumber(number)
  end
  local ends = numbers[1]
  if #numbers ~= SLICES + 1 or now >= ends then
    return now + SLICES * slice, { 0, 0, 0, 0, 0, 0, 0, 0 }, 0, false
  end
  local began, counts = ends - SLICES * slice, {}
  local by = math.max(0, math.floor((now - began) / slice))
  for i = 1, SLICES do
    counts[i] = i > by and numbers[1 + i - by] or 0
    sum = sum + counts[i]
  end
  if began - now > STEP then
    sum = math.min(sum, 4294967295)
    return now + SLICES * slice, { sum, 0, 0, 0, 0, 0, 0, 0 }, sum, true
  end
  return ends + by * slice, counts, sum, false
end

local function window_keep(key, ends, counts)
  local value = format('%d', ends)
  for i = 1, SLICES do
    value = value .. format(' %d', counts[i])
  end
  keep(key, value, ends - now)
end

local reply = { 1 }
local ahead, counts, fits, stepped = {}, {}, {}, {}
for i = 1, #KEYS do
  local price, depth = tonumber(ARGV[4 * i - 3]), tonumber(ARGV[4 * i - 2])
  local worst = tonumber(ARGV[4 * i - 1])
  if worst < 0 then
    local sum
    ahead[i], counts[i], sum, stepped[i] = slide(found[i], -worst)
    fits[i] = depth > 0 and sum + price <= depth
    reply[#reply + 1] = ahead[i] - now
    for slice = 1, SLICES do
      reply[#reply + 1] = counts[i][slice]
    end
  else
    -- In this order what is no number, should anybody have put it there, counts as nothing.
    ahead[i] = math.max(0, (tonumber(found[i]) or 0) - now)
    if ahead[i] > worst + STEP then
      ahead[i], stepped[i] = worst, true
    end
    fits[i] = ahead[i] + price <= depth
    reply[#reply + 1] = ahead[i]
  end
  if not fits[i] and ARGV[4 * i] ~= '1' then
    reply[1] = 0
  end
end

for i = 1, #KEYS do
  local price = tonumber(ARGV[4 * i - 3])
  local charged = fits[i] and reply[1] == 1 and price > 0
  if charged or (stepped[i] and (counts[i] or not fits[i])) then
    local added = charged and price or 0
    if counts[i] then
      counts[i][1] = counts[i][1] + added
      window_keep(KEYS[i], ahead[i], counts[i])
    else
      keep(KEYS[i], format('%d', now + ahead[i] + added), ahead[i] + added)
    end
  end
end

return reply
