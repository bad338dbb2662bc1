-- What is asked for.

if op == 'restore' then
  local token = take()
  if redis.call('GET', LOCK) ~= token then return { 'lost' } end
  if meter.ready == epoch then
    -- Another restored it before this one had the lock, and calls have begun since.
    redis.call('DEL', LOCK)
    return { 'ok' }
  end
  local given = redis.call('HGETALL', GIVEN)
  redis.call('DEL', GIVEN, LOCK, unpack(STATE))
  read_meter()
  meter.ready, meter.life = epoch, token
  local here = {}
  for place = 1, #given, 2 do
    local owner, packed = string.match(given[place + 1], '^([^|]+)|(.*)$')
    if owner == epoch then here[given[place]] = packed end
  end
  for _ = 1, take_number() do
    local kind, at = take(), take_number()
    record(kind, at + shift, take_number())
  end
  local written = {}
  for _ = 1, take_number() do
    local id = take()
    written[id] = take()
  end
  local wanted, starts = take_budgets()
  local rows = take_rows()
  for id, packed in pairs(here) do
    local call = decode_call(packed)
    call.here = true
    hold(id, call)
    -- A call whose row is not written yet has its use in no row.
    if not written[id] and not rows.charged[id] then record(call.kind, tonumber(call.at) + shift, 1) end
  end
  for id, packed in pairs(written) do
    if not here[id] then
      local call = decode_call(packed)
      call.lease = call.lease + shift
      hold(id, call)
    end
  end
  for id in pairs(rows.charged) do redis.call('SADD', KNOWN, id) end
  set_budgets(wanted, starts, rows)
  return answer()
end

if op == 'give' then
  -- Calls that a server has under way, told after what stood here was lost.
  local calls = {}
  for _ = 1, take_number() do
    local id, admitted, packed = take(), take(), take()
    -- What was admitted in this epoch is known here, and may have ended meanwhile.
    if meter.ready ~= epoch or admitted ~= epoch then calls[id] = packed end
  end
  if meter.ready ~= epoch then
    for id, packed in pairs(calls) do
      local call = decode_call(packed)
      call.lease = call.lease + shift
      redis.call('HSET', GIVEN, id, epoch .. '|' .. encode_call(call))
    end
    redis.call('PEXPIRE', GIVEN, 600000)
    return { 'absent' }
  end
  for id, packed in pairs(calls) do
    local text = redis.call('HGET', CALLS, id)
    local call = decode_call(text or packed)
    if text then
      if not call.here then
        call.here = true
        count_here(call, 1)
        redis.call('HSET', CALLS, id, encode_call(call))
      end
    elseif redis.call('SISMEMBER', KNOWN, id) == 0 and redis.call('HEXISTS', ENDED, id) == 0 then
      call.here, call.lease = true, call.lease + shift
      hold(id, call)
      record(call.kind, tonumber(call.at) + shift, 1)
    end
  end
  return answer()
end

if not meter.ready or meter.ready ~= epoch then return { 'absent' } end

-- Ends of calls that their server could not tell before.
for _ = 1, take_number() do
  local id, cost = take(), take()
  if cost == '-' then release(id) else settle(id, money(cost)) end
end

if op == 'tell' then
  return answer()
elseif op == 'settle' then
  local id, cost = take(), money(take())
  local call = settle(id, cost)
  if not call then return answer(0) end
  return answer(1, text_of(call.worst), call.at)
elseif op == 'release' then
  local call = release(take())
  if not call then return answer(0) end
  return answer(1, text_of(call.worst), call.at)
elseif op == 'reopen' then
  local id, packed = take(), take()
  if redis.call('HEXISTS', CALLS, id) == 0 then
    local call = decode_call(packed)
    call.here, call.lease = false, call.lease + shift
    hold(id, call)
  end
  return answer()
elseif op == 'standing' then
  expire()
  local kind = take()
  forget(kind, now)
  return answer(standing(kind))
elseif op == 'budgets' then
  expire()
  local starts, found = { d = take_number(), m = take_number() }, {}
  for _, field in ipairs(redis.call('HKEYS', BUDGETS)) do
    local budget = budget_of(field)
    local totals = period(budget, starts[string.sub(field, -1)]) or { reserved = ZERO, spent = ZERO }
    table.insert(found, field)
    table.insert(found, text_of(budget.limit))
    table.insert(found, text_of(totals.reserved))
    table.insert(found, text_of(totals.spent))
  end
  return answer(found)
elseif op == 'refresh' then
  if redis.call('GET', LOCK) ~= take() then return { 'lost' } end
  local wanted, starts = take_budgets()
  if lacks(wanted) then
    redis.call('DEL', MEANWHILE)
    meter.remembering = redis.call('GET', LOCK)
    return answer(1)
  end
  set_budgets(wanted, starts, { charged = {}, sums = {} })
  redis.call('DEL', LOCK)
  return answer(0)
elseif op == 'charge' then
  if redis.call('GET', LOCK) ~= take() then return { 'lost' } end
  local wanted, starts = take_budgets()
  local rows = take_rows()
  for _, text in ipairs(redis.call('LRANGE', MEANWHILE, 0, -1)) do
    local id, cost, day, month, scopes = string.match(text, '^([^|]+)|([^|]+)|(-?%d+)|(-?%d+)|(.*)$')
    rows.charged[id] = { cost = money(cost), d = tonumber(day), m = tonumber(month), scopes = scopes }
  end
  set_budgets(wanted, starts, rows)
  redis.call('DEL', LOCK, MEANWHILE)
  meter.remembering = nil
  redis.call('HDEL', METER, 'remembering')
  return answer()
end

-- A call begins whole, or changes nothing.
expire()
local id, packed = take(), take()
local limit, parallel, priced = tonumber(take()), tonumber(take()), take() == '1'
local call = decode_call(packed)
local kind, moment = call.kind, tonumber(call.at) + shift
call.here, call.lease = true, call.lease + shift
forget(kind, moment)
local function refuse(...)
  save()
  return { 'refused', meter.life, expired, ... }
end
if redis.call('HEXISTS', CALLS, id) == 1 then return answer(standing(kind)) end
if parallel and meter['n' .. kind] >= parallel then return refuse('parallel') end
local full = limit and meter['u' .. kind] >= limit
if not full then
  for scope in string.gmatch(call.scopes, '[^,]+') do
    for _, per in ipairs({ 'd', 'm' }) do
      local budget = budget_of(scope .. ' ' .. per)
      if budget and not priced then return refuse('unpriced') end
    end
  end
  for scope in string.gmatch(call.scopes, '[^,]+') do
    for _, per in ipairs({ 'd', 'm' }) do
      local budget = budget_of(scope .. ' ' .. per)
      if budget then
        local totals = period(budget, call[per]) or { reserved = ZERO, spent = ZERO }
        if less(minus(minus(budget.limit, totals.spent), totals.reserved), call.worst) then
          return refuse('budget', scope .. ' ' .. per, text_of(budget.limit), text_of(totals.reserved), text_of(totals.spent))
        end
      end
    end
  end
else
  return refuse('window', whole(meter['u' .. kind]), frees(kind, limit), whole(meter['t' .. kind]))
end
hold(id, call)
record(kind, moment, 1)
return answer(standing(kind))
