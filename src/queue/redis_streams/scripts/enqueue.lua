-- Adds the requests that are not on the queue yet.
--
-- KEYS: the stream, the waiting requests (fingerprint to entry id). ARGV: for each request, its conference id, union id and
-- requested_by.
-- Returns: how many requests the script added.
--
-- A request counts as waiting only if its entry is still on the stream. An entry that was deleted, or that a failover lost,
-- does not block a new request.

local stream, waiting = KEYS[1], KEYS[2]
local added = 0
for at = 1, #ARGV, 3 do
  local conference, union, requested_by = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local fingerprint = redis.sha1hex(#conference .. ':' .. conference .. union)
  local id = redis.call('HGET', waiting, fingerprint)
  if not id or #redis.call('XRANGE', stream, id, id) == 0 then
    id = redis.call(
      'XADD', stream, '*', 'conference_id', conference, 'union_id', union, 'requested_by', requested_by
    )
    redis.call('HSET', waiting, fingerprint, id)
    added = added + 1
  end
end
return added
