-- Delivers entries to a worker: first released entries, then entries whose lease has run out, then new entries.
--
-- KEYS: the stream, when entries were delivered, the record about the server. ARGV: the group, the worker, the consumer of
-- released entries, how many entries at most, the length of a lease in milliseconds.
-- Returns: how many entries the stream has, how many of them are pending, and each delivered entry: its id, its delivery count,
-- its conference id and that id's length, its union id and that id's length, whether it was put back from the dead letters
-- (1 or 0).
--
-- XAUTOCLAIM does the same as XPENDING with XCLAIM. But it does not return the delivery count, and its answer about deleted
-- entries differs between versions.

local stream, group, worker, released = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
local left, lease_ms = tonumber(ARGV[4]), tonumber(ARGV[5])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local taken = {}

-- Whether leases that have run out may be taken over. During an outage of the server or of the network no worker can renew its
-- leases. So after an outage, each worker gets half of a lease to renew them. A worker with leases renews them four times within
-- a lease (renew.lua), and an idle worker calls this script all the time. A server without memory cannot store these times; then
-- nothing is taken over.
local function may_take_over()
  local known = redis.call('HMGET', KEYS[3], 'heard', 'heard_since')
  local since, silence = tonumber(known[2]) or 0, now - (tonumber(known[1]) or 0)
  local is_in_use = silence >= 0 and silence <= lease_ms / 2
  if not is_in_use then
    since = now
    redis.pcall('HSET', KEYS[3], 'heard', now, 'heard_since', now)
  elseif silence > lease_ms / 8 then
    redis.pcall('HSET', KEYS[3], 'heard', now)
  end
  return now - since >= lease_ms / 2
end

local function deliver(id, times, fields)
  local row = { id, times, false, 0, false, 0, 0 }
  for at = 1, #fields, 2 do
    local name, value = fields[at], fields[at + 1]
    -- No id is longer than this. The length says whether the value was cut.
    if name == 'conference_id' then row[3], row[4] = string.sub(value, 1, 1024), #value end
    if name == 'union_id' then row[5], row[6] = string.sub(value, 1, 1024), #value end
    if name == 'requeued_from' then row[7] = 1 end
  end
  taken[#taken + 1] = row
  left = left - 1
  redis.call('HSET', KEYS[2], id, now)
end

local function take_over(pending)
  for _, entry in ipairs(pending) do
    local id, times = entry[1], entry[4]
    local found = redis.call('XRANGE', stream, id, id)[1]
    if found then
      redis.call('XCLAIM', stream, group, worker, 0, id)
      deliver(id, times + 1, found[2])
    else
      redis.call('XACK', stream, group, id)
      redis.call('HDEL', KEYS[2], id)
    end
  end
end

if left > 0 then take_over(redis.call('XPENDING', stream, group, '-', '+', left, released)) end
if left > 0 and may_take_over() then
  take_over(redis.call('XPENDING', stream, group, 'IDLE', lease_ms, '-', '+', left))
end
if left > 0 then
  local read = redis.call('XREADGROUP', 'GROUP', group, worker, 'COUNT', left, 'STREAMS', stream, '>')
  if read then
    for _, entry in ipairs(read[1][2]) do deliver(entry[1], 1, entry[2]) end
  end
end

return { redis.call('XLEN', stream), redis.call('XPENDING', stream, group)[1], taken }
