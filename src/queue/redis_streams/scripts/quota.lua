-- The one quota of all workers: the script takes a worker's feedback about DingTalk's answers, then grants it permits.
--
-- KEYS: the quota. ARGV: the worker, how many permits at most (0: feedback only), how many microseconds after its slot a permit
-- may still be used, the rate a second, the burst, the lowest rate, whether the rate adapts ('1'); then for each feedback: its
-- kind ('let_in', 'trouble', 'refused', 'banned'), the refusing window, how long to wait (0: DingTalk did not say), and how long
-- ago its request was sent, all in microseconds.
-- Returns: how many permits, the microseconds until the first slot (may be negative), the microseconds between two slots; or
-- 0, the microseconds until the next request for permits, 0. Then why no permit is granted, the rate a second, and whether the
-- permit is for a probe.
--
-- Time is the server's, and never goes back, even if the server's clock does. Every permit has its slot. The slots of all
-- workers together are no closer than the rate allows, and the burst consists of unused slots (a GCRA). A permit that is used
-- late could come close to the next ones. So the slots are a little further apart than the rate demands, and every span of a
-- second or longer stays within rate times span plus burst.

local worker, want, late = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local configured, burst, floor = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local adapts = ARGV[7] == '1'

-- A slot further in the future is not reserved: feedback may change the rate before then.
local FURTHEST = 100000
-- Slots within this time are granted at once: another call would take about as long.
local AT_ONCE = 5000
-- After this time without feedback, the probe's worker has died, and another worker may probe.
local PROBE = 60000000

local state, changed = {}, {}
local flat = redis.call('HGETALL', KEYS[1])
for at = 1, #flat, 2 do state[flat[at]] = flat[at + 1] end
local function number(name, missing) return tonumber(state[name]) or missing end
local function set(name, value)
  if type(value) == 'number' then value = string.format('%.6f', value) end
  state[name] = value
  changed[name] = value
end

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2]) + number('ahead', 0)
if now < number('now', 0) then
  set('ahead', number('ahead', 0) + number('now', 0) - now)
  now = number('now', 0)
end
set('now', now)

local rate = adapts and math.min(configured, math.max(floor, number('rate', configured))) or configured

-- Counts of the permits that were not refused, by the time of their slots, for the refusing windows of a second and a minute.
-- Each span is a twentieth of a window, stored as 'which:count'. There are enough spans for the window before a late answer.
local PARTS, SPANS = 20, 61
local function span_of(window, at) return math.floor(at * PARTS / window) end
local function count_in(window, which)
  local at, counted = string.match(state[window .. ':' .. which % SPANS] or '', '^(%d+):(%d+)$')
  return tonumber(at) == which and tonumber(counted) or 0
end
local function count(at, more)
  for _, window in ipairs({ 1000000, 60000000 }) do
    local which = span_of(window, at)
    local counted = math.max(0, count_in(window, which) + more)
    set(window .. ':' .. which % SPANS, string.format('%d:%d', which, counted))
  end
end

-- How many slots the window before that time has. The first and the last span count in part.
local function let_in_before(window, at)
  local last = span_of(window, at)
  local share = at * PARTS / window - last
  local sum = count_in(window, last - PARTS) * (1 - share)
  for which = last - PARTS + 1, last - 1 do sum = sum + count_in(window, which) end
  -- All slots of the current span are before the present.
  if at + AT_ONCE >= now then share = 1 end
  return sum + count_in(window, last) * share
end

-- How long until the window has room for one more request at this rate.
local function until_room(per_second, window)
  local last = span_of(window, now)
  local excess = 1 - math.max(1, math.floor(per_second * window / 1000000))
  for which = last - PARTS, last do excess = excess + count_in(window, which) end
  for which = last - PARTS, last do
    if excess <= 0 then return 0 end
    excess = excess - count_in(window, which)
    if excess <= 0 then return (which + 1) * window / PARTS + window - now end
  end
  return window
end

-- The controller of src/pace/controller, for all workers together.
local KEPT, RETURN, MAX_TRUST, SAME_LEVEL, DEPARTURE, MEASURABLE = 0.98, 1500000, 2, 0.1, 0.01, 8

local function reduce(window, sent)
  local measured = let_in_before(window, sent) / (window / 1000000)
  if measured * window / 1000000 < MEASURABLE then measured = math.max(measured, rate / 2) end
  local level, refused = math.min(rate, measured), number('level', 0)
  local same = state.reduced and math.abs(level - refused) < SAME_LEVEL * refused
  set('trust', same and math.min(MAX_TRUST, number('trust', 0) + 1) or 0)
  set('level', state.reduced and (level + rate) / 2 or level)
  rate = math.max(floor, math.min(configured, level * KEPT))
  set('resumed', rate)
  set('rate', rate)
  set('quiet', 0)
  return until_room(level * KEPT, window)
end

local function grow()
  local longest = math.max(1000000, 2000000 / rate)
  local quiet = number('quiet', 0) + math.min(longest, now - number('heard', now))
  set('quiet', quiet)
  local spell, level = RETURN * 2 ^ number('trust', 0), number('level', configured)
  local grown
  if quiet < spell then
    grown = level - (level - number('resumed', rate)) * (1 - quiet / spell) ^ 3
  else
    grown = level * (1 + DEPARTURE * ((quiet - spell) / 1000000) ^ 3)
  end
  rate = math.max(rate, math.min(configured, grown))
  set('rate', rate)
end

for at = 8, #ARGV, 4 do
  local kind, window, wait = ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local sent = now - tonumber(ARGV[at + 3])
  local pause = number('until', 0)
  if kind == 'banned' then
    -- Bans of requests that were in flight together count as one.
    if not (state.banned == '1' and pause > now) then
      set('banned', '1')
      set('until', math.max(pause, now + wait))
      set('why', 'banned')
    end
    set('probe', '')
  elseif kind == 'refused' then
    count(sent, -1)
    if sent > number('reduced', 0) then
      local room = adapts and reduce(window, sent) or window
      set('reduced', now)
      wait = wait > 0 and wait or room
    end
    if wait > 0 and now + wait > pause then
      set('until', now + wait)
      if state.banned ~= '1' then set('why', 'refused') end
    end
    if state.probe == worker then set('probe', '') end
  elseif kind == 'let_in' then
    if state.banned == '1' and sent >= pause then
      set('banned', '0')
      set('probe', '')
    end
    if adapts and rate < configured then grow() end
  elseif state.probe == worker then
    -- The probe found out nothing: any worker may probe again.
    set('probe', '')
  end
  set('heard', now)
end

local function answer(permits, first, between, why, probe)
  local flat = {}
  for name, value in pairs(changed) do
    flat[#flat + 1] = name
    flat[#flat + 1] = value
  end
  if #flat > 0 then
    redis.call('HSET', KEYS[1], unpack(flat))
    redis.call('PEXPIRE', KEYS[1], 86400000)
  end
  -- As numbers, Redis would return these values without their fractions.
  local text = function(value) return string.format('%.3f', value) end
  return { permits, text(first), text(between), why, text(rate), probe and 1 or 0 }
end

if want == 0 then return answer(0, 0, 0, '') end
local pause = number('until', 0)
if pause > now then return answer(0, pause - now, 0, state.why) end
local is_probe = state.banned == '1'
if is_probe then
  local probing = state.probe and state.probe ~= '' and state.probe ~= worker
  if probing and number('probe_until', 0) > now then return answer(0, AT_ONCE * 20, 0, 'probe') end
  want = 1
end

if late >= number('late', 0) or number('late_at', 0) < now - 60000000 then
  set('late', late)
  set('late_at', now)
end
local interval = 1000000 / rate * (1 + number('late', late) / 1000000)
local slot = math.max(number('tat', 0), now - (burst - 1) * interval)
if slot > now + FURTHEST then return answer(0, slot - now - FURTHEST / 2, 0, 'pace') end
local permits = 1
while permits < want and slot + permits * interval <= now + AT_ONCE do permits = permits + 1 end
set('tat', slot + permits * interval)
count(math.max(now, slot), permits)
if is_probe then
  set('probe', worker)
  set('probe_until', now + PROBE)
end
return answer(permits, slot - now, interval, '', is_probe)
