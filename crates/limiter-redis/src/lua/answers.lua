-- How the state is written back, and what a new budget takes from the rows.

local function save()
  for field in pairs(changed) do
    local budget = budgets[field]
    local parts = { text_of(budget.limit) }
    for _, kept in ipairs(budget.periods) do
      table.insert(parts, whole(kept.start) .. ',' .. text_of(kept.reserved) .. ',' .. text_of(kept.spent))
    end
    redis.call('HSET', BUDGETS, field, table.concat(parts, ';'))
  end
  local fields = {}
  for place, name in ipairs(FIELDS) do
    local value = meter[name]
    if value ~= nil then
      table.insert(fields, name)
      table.insert(fields, place > 3 and whole(value) or value)
    end
  end
  redis.call('HSET', METER, unpack(fields))
  -- Idle tenants go; one with a call that holds stays until that has been charged.
  local last = redis.call('ZRANGE', LEASES, -1, -1, 'WITHSCORES')[2]
  local alive = keep + (last and math.max(tonumber(last) - now + margin, 0) or 0)
  for _, key in ipairs(STATE) do redis.call('PEXPIRE', key, whole(alive)) end
end
local function answer(...)
  save()
  return { 'ok', meter.life, expired, ... }
end

-- Whoever holds the lock restores the tenant, or reads its budgets; the others wait.
if op == 'lock' then
  local token, millis, absent = take(), take(), take()
  -- Another restored it before this one had the lock.
  if absent == '1' and meter.ready == epoch then return { 'busy' } end
  if redis.call('SET', LOCK, token, 'NX', 'PX', millis) then return { 'ok' } end
  return { 'busy' }
elseif op == 'unlock' then
  if redis.call('GET', LOCK) == take() then redis.call('DEL', LOCK) end
  return { 'ok' }
end

local function take_rows()
  local rows = { charged = {}, sums = {} }
  for _ = 1, take_number() do
    local id = take()
    rows.charged[id] = { cost = money(take()), d = take_number(), m = take_number(), scopes = take() }
  end
  for _ = 1, take_number() do
    table.insert(rows.sums, { field = take(), start = take_number(), cost = money(take()) })
  end
  return rows
end
local function take_budgets()
  local wanted, present_starts = {}, { d = take_number(), m = take_number() }
  for _ = 1, take_number() do
    local field = take()
    wanted[field] = money(take())
  end
  return wanted, present_starts
end
local function lacks(wanted)
  for field in pairs(wanted) do
    if not budget_of(field) then return true end
  end
  return false
end
-- A new budget has spent what the rows tell, each call once: one that is held still is charged when it is settled.
local function set_budgets(wanted, starts, rows)
  for id in pairs(rows.charged) do
    if redis.call('HEXISTS', CALLS, id) == 1 then rows.charged[id] = nil end
  end
  for _, field in ipairs(redis.call('HKEYS', BUDGETS)) do
    if not wanted[field] then
      redis.call('HDEL', BUDGETS, field)
      budgets[field], changed[field] = false, nil
    end
  end
  local fresh, open = {}, nil
  for field, limit in pairs(wanted) do
    local budget = budget_of(field)
    changed[field] = true
    if budget then
      budget.limit = limit
    else
      budgets[field] = { limit = limit, periods = {} }
      local scope, per = string.match(field, '^(.+) (%l)$')
      fresh[field] = true
      local function covered(scopes) return string.find(',' .. scopes .. ',', ',' .. scope .. ',', 1, true) end
      change(field, starts[per], function() end)
      open = open or redis.call('HVALS', CALLS)
      for _, text in ipairs(open) do
        local call = decode_call(text)
        if covered(call.scopes) then
          change(field, call[per], function(totals) totals.reserved = plus(totals.reserved, call.worst) end)
        end
      end
      for _, row in pairs(rows.charged) do
        if covered(row.scopes) then
          change(field, row[per], function(totals) totals.spent = plus(totals.spent, row.cost) end)
        end
      end
    end
  end
  for _, sum in ipairs(rows.sums) do
    if fresh[sum.field] then
      change(sum.field, sum.start, function(totals) totals.spent = plus(totals.spent, sum.cost) end)
    end
  end
end

