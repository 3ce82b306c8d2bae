-- A token bucket on a Redis server, lent out: tokens are charged now and spent later, elsewhere.
--
-- In the numbers of gcra.lua, and on its key. A bucket's tokens lie in a row in time: the key is
-- the moment at which it is full, and what is taken moves that on. So what a borrower took is a
-- stretch of that row, ending at some moment; as time passes through the stretch, the bucket would
-- have been full without it, and so much of it is worth nothing any more. Borrowers see to that;
-- then bucket and borrowers together never hold more than the burst.
--
-- KEYS  the bucket; and a stretch of it that was given back while later ones were out, as its end
--       and how many tokens it is
-- ARGV  microseconds per token; those in which the burst is earned; the same with the largest debt;
--       how many tokens are needed, and how many wanted
-- Reply how many are lent, 0 if that would be too few; the end of their stretch, by the server's
--       clock and from now; how far off the moment is at which the bucket is full now

local STEP = 1000000

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local found = redis.call('MGET', KEYS[1], KEYS[2])
local token, depth, worst = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local needed, wanted = tonumber(ARGV[4]), tonumber(ARGV[5])

local ahead = math.max(0, (tonumber(found[1]) or 0) - now)
local stepped = ahead > worst + STEP
if stepped then
  ahead = worst
end

local function keep(key, value, left)
  redis.call('SET', key, value, 'PX', string.format('%.0f', math.ceil(left / 1000) + 1))
end

local back, count = string.match(found[2] or '', '^(%d+) (%d+)$')
back, count = tonumber(back) or 0, tonumber(count) or 0
if back > now + ahead then
  count = 0
end
count = math.min(count, math.floor(math.max(0, back - now) / token))
if count >= needed then
  local lent = math.min(wanted, count)
  local rest = count - lent
  if rest > 0 then
    keep(KEYS[2], string.format('%.0f %.0f', back, rest), back - now)
  else
    redis.call('DEL', KEYS[2])
  end
  local ends = back - rest * token
  return { lent, ends, ends - now, ahead }
end

local free = math.floor(math.max(0, depth - ahead) / token)
if free < needed then
  if stepped then
    -- Else it would stay as far ahead until the clock is there.
    keep(KEYS[1], string.format('%.0f', now + ahead), ahead)
  end
  return { 0, 0, 0, ahead }
end
local lent = math.min(wanted, free)
ahead = ahead + lent * token
keep(KEYS[1], string.format('%.0f', now + ahead), ahead)
return { lent, now + ahead, ahead, ahead }
