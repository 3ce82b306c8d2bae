
-- The holder is still at it.
--
-- ARGV  number and name of the claim; the lease in microseconds; lease and ttl together in
--       milliseconds
-- Reply 1, or 0 if it is the holder no more

local slot, now, trouble = load()
if trouble then
  return trouble
end
if not holds(slot, ARGV[1], ARGV[2]) then
  return 0
end
redis.call('HSET', key, 'l', whole(now + tonumber(ARGV[3])))
redis.call('PEXPIRE', key, ARGV[4])
return 1
