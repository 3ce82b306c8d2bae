
-- Forgets it, on an operator's word.
--
-- Reply 1, or 0 if there was nothing, or 2 if its request is under way

local slot, _, trouble = load()
if trouble then
  return trouble
end
if not slot then
  return 0
end
if slot.phase == 'i' then
  return 2
end
redis.call('DEL', key)
return 1
