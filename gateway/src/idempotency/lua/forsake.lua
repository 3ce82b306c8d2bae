
-- It was sent, and nobody will ever say what came of it.
--
-- ARGV  number and name of the claim; the ttl in milliseconds
-- Reply 1, or 0 if it is not the holder

local slot, _, trouble = load()
if trouble then
  return trouble
end
if not slot or slot.fence ~= ARGV[1] or slot.owner ~= ARGV[2] or slot.phase == 'd' then
  return 0
end
if slot.phase == 'i' then
  unknown(ARGV[3])
end
return 1
