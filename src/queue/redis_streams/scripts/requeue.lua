-- Puts the dead entries of one part of the dead-letter stream back on the queue.
--
-- KEYS: the dead-letter stream, the stream, the waiting requests (fingerprint to entry id). ARGV: where the part begins, the last
-- entry to put back (empty: the newest entry now), how many entries to read, how many to put back at most, whether to select by
-- code ('1'), and that code.
-- Returns: where the next part begins (empty after the last part), the last entry to put back, how many entries were put back,
-- and how many were on the queue already.
--
-- An entry that is put back has the field requeued_from. So a worker knows that the meeting may have been asked for before.

local dead, stream, waiting = KEYS[1], KEYS[2], KEYS[3]
local chunk, most, by_code, code = tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5] == '1', ARGV[6]
-- A Lua call takes only some thousand arguments. An entry with more values came from another client, and stays dead.
local MAX_VALUES = 4000
local put_back, waited, last = 0, 0, nil
-- Entries that die during the requeue stay dead. Otherwise an entry that dies at once would never stop coming back.
local up_to = ARGV[2]
if up_to == '' then
  local newest = redis.call('XREVRANGE', dead, '+', '-', 'COUNT', 1)[1]
  if not newest then return { '', '', 0, 0 } end
  up_to = newest[1]
end
local entries = redis.call('XRANGE', dead, ARGV[1], up_to, 'COUNT', chunk)

for _, entry in ipairs(entries) do
  if put_back + waited == most then return { '', up_to, put_back, waited } end
  local id, fields = entry[1], entry[2]
  last = id
  -- The last field says how many fields the entry had on the queue. An entry from another client has no such field, and all
  -- its fields count.
  local counted = fields[#fields - 1] == 'original_fields' and tonumber(fields[#fields])
  local original = counted and math.max(0, math.min(#fields, 2 * math.floor(counted))) or #fields
  local dead_code, outcome, dead_id = '', '', id
  for at = original + 1, #fields, 2 do
    if fields[at] == 'code' then dead_code = fields[at + 1] end
    if fields[at] == 'outcome' then outcome = fields[at + 1] end
    if fields[at] == 'entry_id' then dead_id = fields[at + 1] end
  end
  if dead_code == '' then dead_code = outcome end
  if original <= MAX_VALUES and (not by_code or dead_code == code) then
    local conference, union, back = '', '', {}
    for at = 1, original, 2 do
      if fields[at] == 'conference_id' then conference = fields[at + 1] end
      if fields[at] == 'union_id' then union = fields[at + 1] end
      if fields[at] ~= 'requeued_from' then
        back[#back + 1] = fields[at]
        back[#back + 1] = fields[at + 1]
      end
    end
    back[#back + 1] = 'requeued_from'
    back[#back + 1] = dead_id
    local fingerprint = redis.sha1hex(#conference .. ':' .. conference .. union)
    -- An entry without both ids cannot be on the queue twice.
    local known = conference ~= '' and union ~= '' and redis.call('HGET', waiting, fingerprint)
    if known and #redis.call('XRANGE', stream, known, known) > 0 then
      waited = waited + 1
    else
      redis.call('HSET', waiting, fingerprint, redis.call('XADD', stream, '*', unpack(back)))
      put_back = put_back + 1
    end
    redis.call('XDEL', dead, id)
  end
end
if #entries < chunk then return { '', up_to, put_back, waited } end
return { '(' .. last, up_to, put_back, waited }
