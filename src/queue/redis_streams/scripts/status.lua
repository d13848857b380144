-- Reads the state of the queue.
--
-- KEYS: the stream, when entries were delivered, the dead-letter stream. ARGV: the group, the consumer of released entries.
-- Returns: the number of entries, the number of dead entries, and for each worker its name, the number of its leases and the
-- age of the oldest one in milliseconds.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local workers, names, from = {}, {}, '-'
if redis.call('EXISTS', KEYS[1]) == 1 then
  repeat
    local pending = redis.pcall('XPENDING', KEYS[1], ARGV[1], from, '+', 1000)
    if pending.err then break end
    for _, entry in ipairs(pending) do
      local id, name = entry[1], entry[2]
      from = '(' .. id
      if name ~= ARGV[2] then
        if not workers[name] then
          workers[name] = { name, 0, 0 }
          names[#names + 1] = name
        end
        local worker = workers[name]
        worker[2] = worker[2] + 1
        worker[3] = math.max(worker[3], now - tonumber(redis.call('HGET', KEYS[2], id) or now))
      end
    end
  until #pending < 1000
end
table.sort(names)
local listed = {}
for at, name in ipairs(names) do listed[at] = workers[name] end
return { redis.call('XLEN', KEYS[1]), redis.call('XLEN', KEYS[3]), listed }
