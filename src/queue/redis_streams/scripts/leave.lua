-- A worker leaves the queue. The script deletes its consumer, unless the worker still has leases. Other workers take such
-- entries over when the leases run out.
--
-- KEYS: the stream. ARGV: the group, the worker.
-- Returns: how many leases the worker still has.

local pending = redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 100000, ARGV[2])
if #pending == 0 then redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2]) end
return #pending
