-- Takes entries off the queue, buries them in the dead-letter stream, or gives them back; each at once or not at all.
--
-- KEYS: the stream, the dead-letter stream, what waits (fingerprint to id), when entries were taken.
-- ARGV: the group, the worker, whoever holds what is given back; then for each entry
--   'acknowledge', id
--   'bury', id, conference id and union id as far as they were read, how many names and values follow, name, value, …
--   'release', id, how often it counts as handed out
--
-- An acknowledged meeting has ended, whoever holds its entry by now. Everything else is done by the holder alone, and so not
-- twice: another one may end the meeting yet. What can be refused for want of memory (XADD) comes before what cannot.

local stream, dead, waiting, since = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local group, worker, released = ARGV[1], ARGV[2], ARGV[3]

-- More fields than this are of no use to anybody; Lua hands on no more than some thousands.
local MOST_FIELDS = 1000

local function original(id) return redis.call('XRANGE', stream, id, id)[1] end
local function is_ours(id)
  local pending = redis.call('XPENDING', stream, group, id, id, 1)[1]
  return pending and pending[2] == worker
end

local function forget(id, fields)
  local conference, union = '', ''
  for at = 1, #fields, 2 do
    if fields[at] == 'conference_id' then conference = fields[at + 1] end
    if fields[at] == 'union_id' then union = fields[at + 1] end
  end
  local fingerprint = redis.sha1hex(#conference .. ':' .. conference .. union)
  if redis.call('HGET', waiting, fingerprint) == id then redis.call('HDEL', waiting, fingerprint) end
end

local function remove(id, found)
  redis.call('XACK', stream, group, id)
  redis.call('XDEL', stream, id)
  redis.call('HDEL', since, id)
  if found then forget(id, found[2]) end
end

local at = 4
while at <= #ARGV do
  local how, id = ARGV[at], ARGV[at + 1]
  at = at + 2
  if how == 'acknowledge' then
    remove(id, original(id))
  elseif how == 'bury' then
    local conference, union, count = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2])
    at = at + 3
    if is_ours(id) then
      local found = original(id)
      -- Somebody trimmed the stream: what was read of it is all that is left.
      local fields = found and found[2] or { 'conference_id', conference, 'union_id', union }
      local entry, kept = {}, math.min(#fields, 2 * MOST_FIELDS)
      for field = 1, kept do entry[field] = fields[field] end
      for field = 0, count - 1 do entry[#entry + 1] = ARGV[at + field] end
      entry[#entry + 1] = 'original_fields'
      entry[#entry + 1] = kept / 2
      redis.call('XADD', dead, '*', unpack(entry))
      remove(id, found)
    end
    at = at + count
  else
    if is_ours(id) then
      redis.call('XCLAIM', stream, group, released, 0, id, 'RETRYCOUNT', ARGV[at], 'JUSTID')
      redis.call('HDEL', since, id)
    end
    at = at + 1
  end
end
