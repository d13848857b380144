-- Adds requests that are not on the queue yet.
--
-- KEYS: the stream, what waits (fingerprint to id). ARGV: conference id, union id and requested_by of each.
-- Returns: how many were added.
--
-- What is known to wait is looked for in the stream itself: an entry that somebody deleted, or that a failover forgot,
-- keeps nobody from asking again.

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
