
-- It ran, and this came of it.
--
-- ARGV  number and name of the claim; the ttl in milliseconds; the recording
-- Reply 1, or 0 if somebody else may have taken over

local slot, _, trouble = load()
if trouble then
  return trouble
end
if slot and slot.phase == 'd' and slot.fence == ARGV[1] and slot.owner == ARGV[2] then
  -- Said twice, since the answer to the first time was lost.
  return 1
end
if not holds(slot, ARGV[1], ARGV[2]) then
  return 0
end
redis.call('HSET', key, 's', 'd', 'd', ARGV[4])
redis.call('PEXPIRE', key, ARGV[3])
return 1
