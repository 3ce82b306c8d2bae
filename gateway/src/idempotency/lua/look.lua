
-- What an operator sees of it.
--
-- Reply {} for nothing, else phase, number, microseconds of the lease that are left, milliseconds
--       until it expires, and the first four bytes of the recording

local slot, _, trouble = load()
if trouble then
  return trouble
end
if not slot then
  return {}
end
local head = ''
if slot.phase == 'd' then
  head = string.sub(redis.call('HGET', key, 'd') or '', 1, 4)
end
return { slot.phase, slot.number, math.max(0, slot.left), redis.call('PTTL', key), head }
