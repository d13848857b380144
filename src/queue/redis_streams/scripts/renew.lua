-- Renews a worker's leases. Entries that are leased to another worker stay with it.
--
-- KEYS: the stream, the record about the server. ARGV: the group, the worker, the length of a lease in milliseconds, the ids of
-- the entries.
-- Returns: the ids that another worker has or will get, and the ids that are not on the stream any more.

local stream, group, worker = KEYS[1], ARGV[1], ARGV[2]

local function is_after(one, other)
  local millis, number = string.match(one, '^(%d+)-(%d+)$')
  local than_millis, than_number = string.match(other, '^(%d+)-(%d+)$')
  if millis ~= than_millis then return tonumber(millis) > tonumber(than_millis) end
  return tonumber(number) > tonumber(than_number)
end

local function last_delivered()
  for _, listed in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
    local fields = {}
    for at = 1, #listed, 2 do fields[listed[at]] = listed[at + 1] end
    if fields['name'] == group then return fields['last-delivered-id'] end
  end
end

local taken_over, missing = {}, {}
for at = 4, #ARGV do
  local id = ARGV[at]
  local pending = redis.call('XPENDING', stream, group, id, id, 1)[1]
  if pending and pending[2] == worker then
    -- JUSTID: the delivery count stays as it is, and the lease begins again.
    redis.call('XCLAIM', stream, group, worker, 0, id, 'JUSTID')
  elseif pending then
    taken_over[#taken_over + 1] = id
  elseif #redis.call('XRANGE', stream, id, id) == 0 then
    missing[#missing + 1] = id
  elseif is_after(id, last_delivered()) then
    -- The server lost this delivery. It will deliver the entry again.
    taken_over[#taken_over + 1] = id
  else
    -- The worker's consumer was deleted. Without a new lease, the entry would never be delivered again.
    redis.call('XCLAIM', stream, group, worker, 0, id, 'FORCE', 'JUSTID')
  end
end

-- Note that a worker used the queue. take.lua alone notices the end of an outage.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if now - (tonumber(redis.call('HGET', KEYS[2], 'heard')) or 0) <= ARGV[3] / 2 then
  redis.pcall('HSET', KEYS[2], 'heard', now)
end
return { taken_over, missing }
