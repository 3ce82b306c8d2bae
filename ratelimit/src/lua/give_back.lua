-- Tokens that lease.lua lent, given back unspent.
--
-- KEYS  as there
-- ARGV  microseconds per token; the end of the stretch, by the server's clock; how many tokens
-- Reply how many are worth anything still
--
-- The last stretch of the row just shortens it. Another is kept beside, for the next borrower; of
-- two that do not meet, the larger one. Sent once: a repetition would give twice.

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local found = redis.call('MGET', KEYS[1], KEYS[2])
local token, ends, given = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])

local full_at = tonumber(found[1]) or 0
given = math.min(given, math.floor(math.max(0, ends - now) / token))
if given == 0 or ends > full_at then
  return 0
end

local function keep(key, value, left)
  redis.call('SET', key, value, 'PX', string.format('%.0f', math.ceil(left / 1000) + 1))
end

local back, count = string.match(found[2] or '', '^(%d+) (%d+)$')
back, count = tonumber(back) or 0, tonumber(count) or 0
if back > full_at then
  count = 0
end
count = math.min(count, math.floor(math.max(0, back - now) / token))

local value, worth = given, given
if ends == full_at then
  full_at = full_at - given * token
  if count > 0 and back == full_at then
    full_at = full_at - count * token
    redis.call('DEL', KEYS[2])
  end
  if full_at > now then
    keep(KEYS[1], string.format('%.0f', full_at), full_at - now)
  else
    redis.call('DEL', KEYS[1])
  end
  return worth
end

if count > 0 and ends - given * token == back then
  value = given + count
elseif count > 0 and back - count * token == ends then
  ends, value = back, given + count
elseif count > given then
  return 0
end
keep(KEYS[2], string.format('%.0f %.0f', ends, value), ends - now)
return worth
