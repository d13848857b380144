-- Counts the entries of one part of the dead-letter stream by code.
--
-- KEYS: the dead-letter stream. ARGV: where the part begins, how many entries it has.
-- Returns: where the next part begins (empty after the last part), and each code with its count.

local entries = redis.call('XRANGE', KEYS[1], ARGV[1], '+', 'COUNT', ARGV[2])
local counts, codes, last = {}, {}, nil
for _, entry in ipairs(entries) do
  last = entry[1]
  local fields, code, outcome = entry[2], '', ''
  local counted = fields[#fields - 1] == 'original_fields' and tonumber(fields[#fields])
  local original = counted and math.max(0, math.min(#fields, 2 * math.floor(counted))) or 0
  for at = original + 1, #fields, 2 do
    if fields[at] == 'code' then code = fields[at + 1] end
    if fields[at] == 'outcome' then outcome = fields[at + 1] end
  end
  if code == '' then code = outcome end
  if not counts[code] then
    counts[code] = 0
    codes[#codes + 1] = code
  end
  counts[code] = counts[code] + 1
end
local listed = {}
for at, code in ipairs(codes) do listed[at] = { code, counts[code] } end
if #entries < tonumber(ARGV[2]) then return { '', listed } end
return { '(' .. last, listed }
