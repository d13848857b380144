-- A worker says that it still works on entries. What another one holds is left to it.
--
-- KEYS: the stream, what is known of the server. ARGV: the group, the worker, after how many milliseconds of silence a worker
-- is gone, ids.
-- Returns: the ids that are another's, and those that are nobody's and not on the stream any more.

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

local anothers, gone = {}, {}
for at = 4, #ARGV do
  local id = ARGV[at]
  local pending = redis.call('XPENDING', stream, group, id, id, 1)[1]
  if pending and pending[2] == worker then
    -- JUSTID: it is not handed out once more, its worker's silence begins anew.
    redis.call('XCLAIM', stream, group, worker, 0, id, 'JUSTID')
  elseif pending then
    anothers[#anothers + 1] = id
  elseif #redis.call('XRANGE', stream, id, id) == 0 then
    gone[#gone + 1] = id
  elseif is_after(id, last_delivered()) then
    -- The server forgot that it handed this out, and hands it out anew.
    anothers[#anothers + 1] = id
  else
    -- Somebody deleted the name that held it, and nobody would ever be handed it.
    redis.call('XCLAIM', stream, group, worker, 0, id, 'FORCE', 'JUSTID')
  end
end

-- Somebody is there. That somebody is there again after an outage is for take.lua to find.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if now - (tonumber(redis.call('HGET', KEYS[2], 'heard')) or 0) <= ARGV[3] / 2 then
  redis.pcall('HSET', KEYS[2], 'heard', now)
end
return { anothers, gone }
