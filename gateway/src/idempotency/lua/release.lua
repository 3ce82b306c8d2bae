
-- Nothing was sent.
--
-- ARGV  number and name of the claim; the ttl in milliseconds
-- Reply 1, or 0 if it is not the holder

local slot, _, trouble = load()
if trouble then
  return trouble
end
if not holds(slot, ARGV[1], ARGV[2]) then
  return 0
end
undo(slot, ARGV[3])
return 1
