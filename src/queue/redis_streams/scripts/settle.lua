-- Settles entries: acknowledges them, moves them to the dead-letter stream, or releases them.
--
-- KEYS: the stream, the dead-letter stream, the waiting requests (fingerprint to entry id), when entries were delivered.
-- ARGV: the group, the worker, the consumer of released entries; then for each entry
--   'acknowledge', id
--   'dead_letter', id, conference id and union id as the worker read them, how many names and values follow, name, value, …
--   'release', id, how often the entry counts as delivered
--
-- An acknowledged meeting has ended, so the lease does not matter. A dead letter or a release needs the worker's lease:
-- another worker may still close the meeting. XADD can fail for lack of memory, so it comes before the commands that cannot.

local stream, dead, waiting, delivered_at = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local group, worker, released = ARGV[1], ARGV[2], ARGV[3]

-- Further fields of an entry are dropped: a Lua call takes only some thousand arguments.
local MAX_FIELDS = 1000

local function original(id) return redis.call('XRANGE', stream, id, id)[1] end
local function has_lease(id)
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
  redis.call('HDEL', delivered_at, id)
  if found then forget(id, found[2]) end
end

local at = 4
while at <= #ARGV do
  local how, id = ARGV[at], ARGV[at + 1]
  at = at + 2
  if how == 'acknowledge' then
    remove(id, original(id))
  elseif how == 'dead_letter' then
    local conference, union, count = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2])
    at = at + 3
    if has_lease(id) then
      local found = original(id)
      -- If the entry was deleted from the stream, only the ids that the worker read are left.
      local fields = found and found[2] or { 'conference_id', conference, 'union_id', union }
      local entry, kept = {}, math.min(#fields, 2 * MAX_FIELDS)
      for field = 1, kept do entry[field] = fields[field] end
      for field = 0, count - 1 do entry[#entry + 1] = ARGV[at + field] end
      entry[#entry + 1] = 'original_fields'
      entry[#entry + 1] = kept / 2
      redis.call('XADD', dead, '*', unpack(entry))
      remove(id, found)
    end
    at = at + count
  else
    if has_lease(id) then
      redis.call('XCLAIM', stream, group, released, 0, id, 'RETRYCOUNT', ARGV[at], 'JUSTID')
      redis.call('HDEL', delivered_at, id)
    end
    at = at + 1
  end
end
