-- A worker says that it still works on entries. What it does not hold any more is left to whoever does.
--
-- KEYS: the stream. ARGV: the group, the worker, ids.
-- Returns: the ids that it does not hold any more.

local lost = {}
for at = 3, #ARGV do
  local pending = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[at], ARGV[at], 1)[1]
  if pending and pending[2] == ARGV[2] then
    -- JUSTID: it is not handed out once more, its worker's silence begins anew.
    redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[at], 'JUSTID')
  else
    lost[#lost + 1] = ARGV[at]
  end
end
return lost
