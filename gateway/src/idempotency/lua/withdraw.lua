
-- Who claimed it heard no answer, and ran nothing: nothing happened, even if the lease is over.
--
-- ARGV  name of the claim; the ttl in milliseconds
-- Reply 1, or 0 if the claim is not there

local slot, _, trouble = load()
if trouble then
  return trouble
end
local claimed = slot and (slot.phase == 'i' or slot.expired)
if not claimed or slot.owner ~= ARGV[1] then
  return 0
end
undo(slot, ARGV[2])
return 1
