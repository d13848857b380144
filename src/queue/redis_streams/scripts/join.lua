-- A worker has connected: the stream and the group are there when this returns.
--
-- KEYS: the stream, what is known of the server. ARGV: the group.
-- Returns: the server's version; the last entry that a forgotten worker may have asked for.
--
-- A server that is not the one that was last met (a failover, a restart from an older copy of the data) may have forgotten
-- the last deliveries and acknowledgements, and so has one whose group was destroyed. Every entry that it holds at that
-- moment may have been asked for already.

local function has_group()
  local groups = redis.pcall('XINFO', 'GROUPS', KEYS[1])
  if groups.err then return false end
  for _, group in ipairs(groups) do
    if group[2] == ARGV[1] then return true end
  end
  return false
end

local is_new = not has_group()
if is_new then redis.call('XGROUP', 'CREATE', KEYS[1], ARGV[1], '0', 'MKSTREAM') end

local info = redis.call('INFO', 'server')
local run_id = string.match(info, 'run_id:(%x+)')
local known = redis.call('HGET', KEYS[2], 'run_id')
if known ~= run_id or is_new then
  if known or not is_new then
    local stream = redis.call('XINFO', 'STREAM', KEYS[1])
    for at = 1, #stream, 2 do
      if stream[at] == 'last-generated-id' then redis.call('HSET', KEYS[2], 'doubt', stream[at + 1]) end
    end
  end
  redis.call('HSET', KEYS[2], 'run_id', run_id)
end

-- Names of workers that are long gone and hold nothing.
for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local fields = {}
  for at = 1, #consumer, 2 do fields[consumer[at]] = consumer[at + 1] end
  if fields['pending'] == 0 and fields['idle'] > 86400000 then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], fields['name'])
  end
end

return { string.match(info, 'redis_version:([^\r\n]+)'), redis.call('HGET', KEYS[2], 'doubt') or '0-0' }
