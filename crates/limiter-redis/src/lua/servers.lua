-- Which servers have come back since Redis lost what it kept. Until all have, or a while has passed, nothing is
-- restored: a server may have calls under way of which no row tells yet.
local run, server, epoch, grace, servers, joins = unpack(ARGV)
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local key = KEYS[1]
if redis.call('HGET', key, 'run') ~= run then
  redis.call('DEL', key)
  redis.call('HSET', key, 'run', run, 'epoch', epoch, 'since', string.format('%.0f', now), 'joined', 0)
end
if joins == '1' and redis.call('HSETNX', key, 'server ' .. server, 1) == 1 then redis.call('HINCRBY', key, 'joined', 1) end
local kept = redis.call('HMGET', key, 'epoch', 'since', 'joined', 'open')
local open = kept[4]
if not open and (tonumber(kept[3]) >= tonumber(servers) or now - tonumber(kept[2]) >= tonumber(grace)) then
  redis.call('HSET', key, 'open', 1)
  open = '1'
end
return { kept[1], open and '1' or '0' }
