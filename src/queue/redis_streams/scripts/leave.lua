-- A worker leaves. Its name goes with it, unless it still holds something: that is taken over when it has been silent.
--
-- KEYS: the stream. ARGV: the group, the worker.
-- Returns: how many entries it still holds.

local pending = redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 100000, ARGV[2])
if #pending == 0 then redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2]) end
return #pending
