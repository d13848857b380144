-- Puts dead entries back on the queue, each at once or not at all: a part of the dead-letter stream at a time.
--
-- KEYS: the dead-letter stream, the stream, what waits (fingerprint to id). ARGV: where to begin, where to end (or
-- an empty text: what is the last now), how many to look at, how many to put back at most, whether to choose by code ('1')
-- and that code.
-- Returns: where to go on (or an empty text at the end), where to end, how many were put back, how many waited already.
--
-- What comes back names the entry that died, so that whoever works on it knows that it was asked for before.

local dead, stream, waiting = KEYS[1], KEYS[2], KEYS[3]
local chunk, most, by_code, code = tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5] == '1', ARGV[6]
-- Lua hands on no more than some thousands; what has more came from somebody else, and stays.
local MOST_VALUES = 4000
local put_back, doubled, last = 0, 0, nil
-- What dies meanwhile stays dead, or one that dies at once would go round for ever.
local up_to = ARGV[2]
if up_to == '' then
  local newest = redis.call('XREVRANGE', dead, '+', '-', 'COUNT', 1)[1]
  if not newest then return { '', '', 0, 0 } end
  up_to = newest[1]
end
local entries = redis.call('XRANGE', dead, ARGV[1], up_to, 'COUNT', chunk)

for _, entry in ipairs(entries) do
  if put_back + doubled == most then return { '', up_to, put_back, doubled } end
  local id, fields = entry[1], entry[2]
  last = id
  -- The last field counts the original ones; an entry that something else put here is taken whole.
  local counted = fields[#fields - 1] == 'original_fields' and tonumber(fields[#fields])
  local original = counted and math.max(0, math.min(#fields, 2 * math.floor(counted))) or #fields
  local died_of, outcome, died_as = '', '', id
  for at = original + 1, #fields, 2 do
    if fields[at] == 'code' then died_of = fields[at + 1] end
    if fields[at] == 'outcome' then outcome = fields[at + 1] end
    if fields[at] == 'entry_id' then died_as = fields[at + 1] end
  end
  if died_of == '' then died_of = outcome end
  if original <= MOST_VALUES and (not by_code or died_of == code) then
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
    back[#back + 1] = died_as
    local fingerprint = redis.sha1hex(#conference .. ':' .. conference .. union)
    -- What names no meeting is nobody's double.
    local known = conference ~= '' and union ~= '' and redis.call('HGET', waiting, fingerprint)
    if known and #redis.call('XRANGE', stream, known, known) > 0 then
      doubled = doubled + 1
    else
      redis.call('HSET', waiting, fingerprint, redis.call('XADD', stream, '*', unpack(back)))
      put_back = put_back + 1
    end
    redis.call('XDEL', dead, id)
  end
end
if #entries < chunk then return { '', up_to, put_back, doubled } end
return { '(' .. last, up_to, put_back, doubled }
