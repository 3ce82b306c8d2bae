-- A token bucket or a leaky one on a Redis server, alone: what nearly all requests ask about.
--
-- What check.lua does for one bucket, and on the same key, for three quarters of the price: numbers
-- and tables that nobody needs are most of what a script costs.
--
-- KEYS  the bucket
-- ARGV  the price of the request, and how far off the moment may be at which the bucket is full if
--       the request is to pass, below 0 if it never does, each in microseconds; and the time in
--       which the largest debt is paid, where there may be any
-- Reply how long the bucket would have taken to be full before this request, if that passes and is
--       charged; else the same, less than nothing: -1 for 0, -2 for 1

local STEP = 1000000

local call, format = redis.call, string.format
local key, price = KEYS[1], ARGV[1]
local time = call('TIME')
local now = time[1] * 1000000 + time[2]

-- Of what is no string there is nothing, where an error would be raised by redis.call. In this
-- order what is no number, should anybody have put it there, counts as nothing.
local ahead = (tonumber(redis.pcall('GET', key)) or 0) - now
if not (ahead > 0) then
  ahead = 0
end

-- '%d' cuts off what is behind the point. Twice the same: a function would cost as much as a GET.
if ahead <= tonumber(ARGV[2]) then
  local left = ahead + price
  if left > ahead then
    call('SET', key, format('%d', now + left), 'PX', format('%d', left / 1000 + 2))
  end
  return ahead
end

-- Nothing is written for what is denied, but for a key so far ahead that the clock must have been
-- set back.
local worst = ARGV[2] + price + (ARGV[3] or 0)
if ahead > worst + STEP then
  ahead = worst
  if ahead <= tonumber(ARGV[2]) then
    return ahead
  end
  call('SET', key, format('%d', now + ahead), 'PX', format('%d', ahead / 1000 + 2))
end
return -1 - ahead
