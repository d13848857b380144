-- A worker joins the queue: the script creates the stream and the group where they are missing.
--
-- KEYS: the stream, the record about the server. ARGV: the group.
-- Returns: the server's version, and the last entry that is in doubt.
--
-- A server with another run id may have lost the latest deliveries and acknowledgements: after a failover, or after a restart
-- from older data. The same is true if the group was deleted. Then every entry that is on the stream now is in doubt: an
-- earlier worker may have asked for its meeting.

local function has_group()
  local groups = redis.pcall('XINFO', 'GROUPS', KEYS[1])
  if groups.err then return false end
  for _, group in ipairs(groups) do
    if group[2] == ARGV[1] then return true end
  end
  return false
end

local is_new_group = not has_group()
if is_new_group then redis.call('XGROUP', 'CREATE', KEYS[1], ARGV[1], '0', 'MKSTREAM') end

local info = redis.call('INFO', 'server')
local run_id = string.match(info, 'run_id:(%x+)')
local known = redis.call('HGET', KEYS[2], 'run_id')
if known ~= run_id or is_new_group then
  if known or not is_new_group then
    local stream = redis.call('XINFO', 'STREAM', KEYS[1])
    for at = 1, #stream, 2 do
      if stream[at] == 'last-generated-id' then redis.call('HSET', KEYS[2], 'doubt', stream[at + 1]) end
    end
  end
  redis.call('HSET', KEYS[2], 'run_id', run_id)
end

-- Delete workers that have no lease and were silent for a day.
for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local fields = {}
  for at = 1, #consumer, 2 do fields[consumer[at]] = consumer[at + 1] end
  if fields['pending'] == 0 and fields['idle'] > 86400000 then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], fields['name'])
  end
end

return { string.match(info, 'redis_version:([^\r\n]+)'), redis.call('HGET', KEYS[2], 'doubt') or '0-0' }
