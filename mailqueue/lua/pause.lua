-- Pauses a route for all workers.
--
-- KEYS  1 the pause   2 how often in a row   3 names of routes that were ever paused
-- ARGV  1 route   2 kind   3 seconds of the first pause   4 of the longest   5 '1': ends by a probe
--       6 reason   7 id of the mail that met the trouble
-- Returns the seconds until the route is tried again, as text; '-1': until a person says so.
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local kind, probes = ARGV[2], ARGV[5] == '1'
local before = redis.call('HMGET', KEYS[1], 'kind', 'until', 'probe', 'since')
redis.call('SADD', KEYS[3], ARGV[1])
if kind == 'manual' then
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[1], 'kind', kind, 'reason', ARGV[6], 'since', now)
  return '-1'
end
if before[1] == 'manual' then return '-1' end
-- The same news from another connection is no reason to wait longer.
if before[1] == kind and before[3] ~= ARGV[7] and tonumber(before[2]) > now then
  return tostring(tonumber(before[2]) - now)
end
local step = redis.call('INCR', KEYS[2])
redis.call('EXPIRE', KEYS[2], math.ceil(4 * tonumber(ARGV[4])))
local seconds = math.min(tonumber(ARGV[3]) * 2 ^ math.min(step - 1, 30), tonumber(ARGV[4]))
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'kind', kind, 'reason', ARGV[6], 'until', now + seconds,
  'since', before[1] and before[4] or now, 'seconds', seconds)
if not probes then redis.call('PEXPIRE', KEYS[1], math.ceil(seconds * 1000)) end
return tostring(seconds)
