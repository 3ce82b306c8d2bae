
-- Asks for the right to run the request.
--
-- ARGV  fingerprint; a name that nobody else has; the lease in microseconds; lease and ttl together
--       in milliseconds; 1 to run again what is unknown; the longest recording to answer with
-- Reply {1, number} granted, {2, microseconds} in flight for so long, {3} another request's key,
--       {4, recording} done, {5} unknown

local slot, now, trouble = load()
if trouble then
  return trouble
end
local lease = tonumber(ARGV[3])

local function grant(redriven)
  local number = math.max(now, (slot and slot.number or 0) + 1)
  redis.call('HSET', key, 'p', ARGV[1], 'f', whole(number), 'o', ARGV[2], 's', 'i',
    'l', whole(now + lease), 'r', redriven)
  redis.call('PEXPIRE', key, ARGV[4])
  return { 1, number }
end

if not slot then
  return grant('0')
end
if slot.print ~= ARGV[1] then
  return { 3 }
end
if slot.phase == 'd' then
  if redis.call('HSTRLEN', key, 'd') > tonumber(ARGV[6]) then
    return redis.error_reply('WRONGTYPE a recording beyond all bounds')
  end
  return { 4, redis.call('HGET', key, 'd') }
end
if slot.phase == 'i' and slot.owner == ARGV[2] then
  -- Asked again, since the answer was lost.
  redis.call('HSET', key, 'l', whole(now + lease))
  redis.call('PEXPIRE', key, ARGV[4])
  return { 1, slot.number }
end
if slot.phase == 'i' then
  return { 2, slot.left }
end
if ARGV[5] == '1' then
  return grant('1')
end
return { 5 }
