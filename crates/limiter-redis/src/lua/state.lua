-- The limits of one tenant: windows, places, leases, money and the rate of requests. Decides as
-- `metering::window` and `metering::budget` do; the suite and a model in tests hold the two together.
--
-- Numbers are doubles, exact to 2^53. Times are milliseconds and counts stay far below. Money is a pair of whole
-- dollars (at most 1e10) and their 1e-15ths (below 1e15), so each half, and a sum of two halves, is exact.

local METER, CALLS, LEASES, ENDED, ORDER = KEYS[1], KEYS[4], KEYS[5], KEYS[6], KEYS[7]
local BUDGETS, GIVEN, KNOWN, MEANWHILE, LOCK, RATE = KEYS[8], KEYS[9], KEYS[10], KEYS[11], KEYS[12], KEYS[13]
local USES = { a = KEYS[2], p = KEYS[3] }
local STATE = { METER, KEYS[2], KEYS[3], CALLS, LEASES, ENDED, ORDER, BUDGETS, KNOWN, MEANWHILE }

local SPAN, STEP = 3600000, 10000
local PERIODS_KEPT, ENDED_KEPT = 4, 1024
local REQUEST, MILLIS_TO_FULL = 1000, 1000
local PLACES, MOST_DOLLARS = 1e15, 1e10

local next_argument = 0
local function take()
  next_argument = next_argument + 1
  return ARGV[next_argument]
end
local function take_number() return tonumber(take()) end

local function whole(number) return string.format('%.0f', number) end

local op, epoch, caller_now, clock = take(), take(), take_number(), take()
local margin, keep = take_number(), take_number()
local now = caller_now
if clock == 'redis' then
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end
-- What a moment of the caller's clock is by the one that decides.
local shift = now - caller_now

-- Money.
local function money(text)
  local dollars, places = string.match(text, '^(%d+)%.?(%d*)$')
  return { tonumber(dollars), tonumber(places .. string.rep('0', 15 - #places)) }
end
local ZERO = { 0, 0 }
local function text_of(amount) return string.format('%.0f.%015.0f', amount[1], amount[2]) end
local function less(a, b) return a[1] < b[1] or (a[1] == b[1] and a[2] < b[2]) end
local function plus(a, b)
  local dollars, places = a[1] + b[1], a[2] + b[2]
  if places >= PLACES then dollars, places = dollars + 1, places - PLACES end
  if dollars >= MOST_DOLLARS then return { MOST_DOLLARS, 0 } end
  return { dollars, places }
end
local function minus(a, b)
  if less(a, b) then return ZERO end
  local dollars, places = a[1] - b[1], a[2] - b[2]
  if places < 0 then dollars, places = dollars - 1, places + PLACES end
  return { dollars, places }
end

-- The rate of requests, which needs nothing restored.
local function refill(rate)
  local per = rate.per or 0
  local elapsed = math.min(math.max(now - rate.at, 0), MILLIS_TO_FULL)
  rate.held = math.min(rate.held + per * elapsed, per * REQUEST)
  if now > rate.at or rate.at - now > MILLIS_TO_FULL then rate.at = now end
end
if op == 'request' or op == 'requests' then
  local per = tonumber(take())
  local kept = redis.call('HMGET', RATE, 'per', 'held', 'at')
  local rate = { per = per, held = (per or 0) * REQUEST, at = now }
  if kept[3] then
    rate = { per = tonumber(kept[1]), held = tonumber(kept[2]), at = tonumber(kept[3]) }
    refill(rate)
    local capacity = (per or 0) * REQUEST
    rate.held = rate.per and math.min(rate.held, capacity) or capacity
    rate.per = per
  end
  local admitted = 1
  if op == 'request' and per then
    if rate.held < REQUEST then admitted = 0 else rate.held = rate.held - REQUEST end
  end
  if op == 'request' then
    redis.call('HSET', RATE, 'per', per and whole(per) or '', 'held', whole(rate.held), 'at', whole(rate.at))
    redis.call('PEXPIRE', RATE, 60000)
  end
  return { 'ok', '', {}, admitted, whole(math.floor(rate.held / REQUEST)) }
end

-- The meter's own fields, written back at the end.
local FIELDS = { 'ready', 'life', 'remembering', 'ta', 'ua', 'na', 'tp', 'up', 'np' }
local meter = {}
local function read_meter()
  for place, value in ipairs(redis.call('HMGET', METER, unpack(FIELDS))) do
    local name = FIELDS[place]
    if value and place > 3 then value = tonumber(value) end
    meter[name] = value or (string.match(name, '^[un]') and 0) or nil
  end
end
read_meter()

local budgets, changed = {}, {}
local function decode_budget(text)
  local budget = { periods = {} }
  for part in string.gmatch(text, '[^;]+') do
    if not budget.limit then
      budget.limit = money(part)
    else
      local start, reserved, spent = string.match(part, '^(-?%d+),([^,]+),(.+)$')
      table.insert(budget.periods, { start = tonumber(start), reserved = money(reserved), spent = money(spent) })
    end
  end
  return budget
end
local function budget_of(field)
  if budgets[field] == nil then
    local text = redis.call('HGET', BUDGETS, field)
    budgets[field] = text and decode_budget(text) or false
  end
  return budgets[field]
end
local function period(budget, start)
  for _, kept in ipairs(budget.periods) do
    if kept.start == start then return kept end
  end
end
-- Changes the totals of a period; of one that is no longer remembered, nothing.
local function change(field, start, by)
  local budget = budget_of(field)
  if not budget then return end
  local kept = period(budget, start)
  if not kept then
    local periods = budget.periods
    if #periods >= PERIODS_KEPT then
      if start < periods[1].start then return end
      table.remove(periods, 1)
    end
    local place = 1
    while periods[place] and periods[place].start < start do place = place + 1 end
    kept = { start = start, reserved = ZERO, spent = ZERO }
    table.insert(periods, place, kept)
  end
  by(kept)
  changed[field] = true
end

-- Calls. At rest: kind|here|worst case|lease|at|day|month|scope,scope
local function decode_call(text)
  local kind, here, worst, lease, at, day, month, scopes =
    string.match(text, '^(%l)|(%d)|([^|]+)|(-?%d+)|(-?%d+)|(-?%d+)|(-?%d+)|(.*)$')
  return {
    kind = kind, here = here == '1', worst = money(worst), lease = tonumber(lease), at = at,
    d = tonumber(day), m = tonumber(month), scopes = scopes,
  }
end
local function encode_call(call)
  return table.concat({
    call.kind, call.here and '1' or '0', text_of(call.worst), whole(call.lease), call.at,
    whole(call.d), whole(call.m), call.scopes,
  }, '|')
end
local function each_total(call, by)
  for scope in string.gmatch(call.scopes, '[^,]+') do
    change(scope .. ' d', call.d, by)
    change(scope .. ' m', call.m, by)
  end
end
local function count_here(call, by) meter['n' .. call.kind] = meter['n' .. call.kind] + by end
local function hold(id, call)
  each_total(call, function(totals) totals.reserved = plus(totals.reserved, call.worst) end)
  redis.call('HSET', CALLS, id, encode_call(call))
  redis.call('ZADD', LEASES, whole(call.lease), id)
  if call.here then count_here(call, 1) end
end
local function close(id)
  local text = redis.call('HGET', CALLS, id)
  if not text then return nil end
  redis.call('HDEL', CALLS, id)
  redis.call('ZREM', LEASES, id)
  local call = decode_call(text)
  if call.here then count_here(call, -1) end
  each_total(call, function(totals) totals.reserved = minus(totals.reserved, call.worst) end)
  return call
end
local function charge(call, before, cost)
  each_total(call, function(totals) totals.spent = plus(minus(totals.spent, before), cost) end)
end
local function remember_end(id, call, charged)
  if redis.call('HSET', ENDED, id, text_of(charged) .. '|' .. encode_call(call)) == 0 then return end
  if redis.call('RPUSH', ORDER, id) > ENDED_KEPT then
    redis.call('HDEL', ENDED, redis.call('LPOP', ORDER))
  end
end
-- While somebody reads the rows for a new budget, what is charged meanwhile is remembered.
local function remember_charge(id, call, cost)
  if not meter.remembering or redis.call('GET', LOCK) ~= meter.remembering then return end
  redis.call('RPUSH', MEANWHILE, table.concat({ id, text_of(cost), whole(call.d), whole(call.m), call.scopes }, '|'))
end
local function settle(id, cost)
  local call = close(id)
  if call then
    charge(call, ZERO, cost)
    remember_charge(id, call, cost)
    return call
  end
  local text = redis.call('HGET', ENDED, id)
  if not text then return nil end
  redis.call('HDEL', ENDED, id)
  local charged, packed = string.match(text, '^([^|]+)|(.*)$')
  call = decode_call(packed)
  charge(call, money(charged), cost)
  return call
end
local function release(id)
  local call = close(id)
  if call then remember_end(id, call, ZERO) end
  return call
end
local expired = {}
local function expire()
  local ended = redis.call('ZRANGEBYSCORE', LEASES, '-inf', whole(now - margin))
  for _, id in ipairs(ended) do
    local call = close(id)
    if call then
      charge(call, ZERO, call.worst)
      remember_charge(id, call, call.worst)
      remember_end(id, call, call.worst)
      table.insert(expired, id)
      table.insert(expired, text_of(call.worst))
    end
  end
end

-- Windows.
local function record(kind, at, amount)
  if amount == 0 then return end
  meter['u' .. kind] = meter['u' .. kind] + amount
  local start = whole(at - at % STEP)
  redis.call('HINCRBY', METER, kind .. start, whole(amount))
  redis.call('ZADD', USES[kind], start, start)
end
local function drop(kind, start)
  local amount = tonumber(redis.call('HGET', METER, kind .. start)) or 0
  redis.call('HDEL', METER, kind .. start)
  redis.call('ZREM', USES[kind], start)
  meter['u' .. kind] = math.max(meter['u' .. kind] - amount, 0)
  return amount
end
-- Drops what no longer counts; the window stays at the latest moment seen, unless the clock had leapt ahead.
local function forget(kind, moment)
  local latest = meter['t' .. kind]
  if not latest or latest - moment > SPAN then latest = moment else latest = math.max(latest, moment) end
  meter['t' .. kind] = latest
  while true do
    local oldest = redis.call('ZRANGE', USES[kind], 0, 0)[1]
    if not oldest or tonumber(oldest) + STEP + SPAN > latest then break end
    drop(kind, oldest)
  end
  while true do
    local newest = redis.call('ZRANGE', USES[kind], -1, -1)[1]
    if not newest or tonumber(newest) <= latest + SPAN then break end
    record(kind, latest, drop(kind, newest))
  end
  return latest
end
local function standing(kind)
  local oldest = redis.call('ZRANGE', USES[kind], 0, 0)[1]
  return whole(meter['u' .. kind]), oldest or '', whole(meter['t' .. kind]), whole(meter['n' .. kind])
end
-- The step after whose end one more use fits.
local function frees(kind, limit)
  local used = meter['u' .. kind]
  for _, start in ipairs(redis.call('ZRANGE', USES[kind], 0, -1)) do
    used = used - tonumber(redis.call('HGET', METER, kind .. start))
    if used < limit then return start end
  end
  return ''
end

