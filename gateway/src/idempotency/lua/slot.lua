-- A key of a request on a Redis server: what all scripts begin with.
--
-- The twin of state.rs, in whole microseconds by the server's clock: gateways need not agree on the
-- time. Numbers are doubles here: exact up to 2^53, which microseconds since 1970 stay under, and
-- never turned into text but by '%.0f', since tostring keeps 14 digits only.
--
-- KEYS  the one key, a hash:
--         p  the request's fingerprint
--         f  the latest claim's number
--         o  whose that is
--         s  i in flight, u unknown, d done
--         l  when the lease is over
--         r  1 if it ran, or may have, before that claim
--         d  the recording
--
-- A lease that is over makes it unknown and is not written down: whoever looks, sees it so. Nothing
-- is forgotten but by the key's expiry, which is the ttl after the last that was heard of it.

local key = KEYS[1]

local function whole(number)
  return string.format('%.0f', number)
end

-- What is kept, or nil; and what is wrong with it. Never nil without trouble for a key that exists:
-- to take for absent what is not is to run a request twice.
local function load()
  local time = redis.call('TIME')
  local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
  local held = redis.call('HMGET', key, 'p', 'f', 'o', 's', 'l', 'r')
  if not (held[1] or held[2] or held[3] or held[4] or held[5] or held[6]) then
    if redis.call('EXISTS', key) == 0 then
      return nil, now
    end
  end
  local slot = { print = held[1], fence = held[2], owner = held[3], phase = held[4] }
  local number, lease = tonumber(slot.fence or ''), tonumber(held[5] or '')
  local phases = { i = true, u = true, d = true }
  local sound = slot.print and number and lease and slot.owner and phases[slot.phase or '']
  if not sound or (held[6] ~= '0' and held[6] ~= '1') then
    return nil, now, redis.error_reply('WRONGTYPE not the key of a request')
  end
  slot.number, slot.left, slot.redriven = number, lease - now, held[6] == '1'
  if slot.phase == 'i' and slot.left <= 0 then
    slot.phase, slot.expired = 'u', true
  end
  return slot, now
end

-- Whether these are the number and the name of the holder, and the lease is not over.
local function holds(slot, number, owner)
  return slot and slot.phase == 'i' and slot.fence == number and slot.owner == owner
end

-- From now on nobody holds it. `ttl` is in milliseconds.
local function unknown(ttl)
  redis.call('HSET', key, 's', 'u')
  redis.call('PEXPIRE', key, ttl)
end

-- The latest claim ran nothing: the key is as it was before it.
local function undo(slot, ttl)
  if slot.redriven then
    unknown(ttl)
  else
    redis.call('DEL', key)
  end
end
