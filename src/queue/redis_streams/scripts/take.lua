-- Hands entries to a worker: first those that were given back, then those whose worker is gone, then new ones.
--
-- KEYS: the stream, when entries were taken, what is known of the server. ARGV: the group, the worker, whoever holds what was
-- given back, how many at most, after how many milliseconds of silence a worker is gone.
-- Returns: how many entries there are, how many of them somebody holds now, and those handed out: id, how often it was handed
-- out by now, conference id and its length, union id and its length, whether it died before (1 or 0).
--
-- XPENDING with XCLAIM is what XAUTOCLAIM does; it tells how often an entry was handed out, and leaves it to us what
-- becomes of an entry that somebody deleted, which XAUTOCLAIM answers differently from version to version.

local stream, group, worker, released = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
local left, gone_after = tonumber(ARGV[4]), tonumber(ARGV[5])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local taken = {}

-- Whether silence says that a worker is gone. Where nobody at all was heard for long (an outage, of the server or of the way
-- to it; an entry's silence goes on meanwhile) everybody first needs a moment to say that it is still there. Whoever works
-- on something says so four times within that time (renew.lua), and whoever has nothing to do looks here all the time.
-- A server without room remembers nothing; then nobody is taken for gone.
local function silence_tells()
  local known = redis.call('HMGET', KEYS[3], 'heard', 'heard_since')
  local since, silence = tonumber(known[2]) or 0, now - (tonumber(known[1]) or 0)
  local goes_on = silence >= 0 and silence <= gone_after / 2
  if not goes_on then
    since = now
    redis.pcall('HSET', KEYS[3], 'heard', now, 'heard_since', now)
  elseif silence > gone_after / 8 then
    redis.pcall('HSET', KEYS[3], 'heard', now)
  end
  return now - since >= gone_after / 2
end

local function hand_out(id, times, fields)
  local row = { id, times, false, 0, false, 0, 0 }
  for at = 1, #fields, 2 do
    local name, value = fields[at], fields[at + 1]
    -- No id is as long as this; the length tells the rest.
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
      hand_out(id, times + 1, found[2])
    else
      redis.call('XACK', stream, group, id)
      redis.call('HDEL', KEYS[2], id)
    end
  end
end

if left > 0 then take_over(redis.call('XPENDING', stream, group, '-', '+', left, released)) end
if left > 0 and silence_tells() then
  take_over(redis.call('XPENDING', stream, group, 'IDLE', gone_after, '-', '+', left))
end
if left > 0 then
  local read = redis.call('XREADGROUP', 'GROUP', group, worker, 'COUNT', left, 'STREAMS', stream, '>')
  if read then
    for _, entry in ipairs(read[1][2]) do hand_out(entry[1], 1, entry[2]) end
  end
end

return { redis.call('XLEN', stream), redis.call('XPENDING', stream, group)[1], taken }
