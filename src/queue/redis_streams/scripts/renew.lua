-- A worker says that it still works on entries. What it does not hold any more is left to whoever does.
--
-- KEYS: the stream, what is known of the server. ARGV: the group, the worker, after how many milliseconds of silence a worker
-- is gone, ids.
-- Returns: the ids that it does not hold any more.

local lost = {}
for at = 4, #ARGV do
  local pending = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[at], ARGV[at], 1)[1]
  if pending and pending[2] == ARGV[2] then
    -- JUSTID: it is not handed out once more, its worker's silence begins anew.
    redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[at], 'JUSTID')
  else
    lost[#lost + 1] = ARGV[at]
  end
end

-- Somebody is there. That somebody is there again after an outage is for take.lua to find.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if now - (tonumber(redis.call('HGET', KEYS[2], 'heard')) or 0) <= ARGV[3] / 2 then
  redis.pcall('HSET', KEYS[2], 'heard', now)
end
return lost
