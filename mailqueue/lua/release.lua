-- Lets parked mail go: all of it where the route is open, one as a probe where its time has come.
--
-- KEYS  1 the pause   2 parked (route's)   3 schedule
-- ARGV  1 messages at the most
-- Returns {released, 1 if that is a probe}.
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local pause = redis.call('HMGET', KEYS[1], 'kind', 'until', 'seconds')
local limit, probe = tonumber(ARGV[1]), 0
if pause[1] then
  if pause[1] == 'manual' or tonumber(pause[2]) > now then return { 0, 0 } end
  limit, probe = 1, 1
end
local ids = redis.call('ZRANGE', KEYS[2], 0, limit - 1)
for _, id in ipairs(ids) do
  redis.call('ZREM', KEYS[2], id)
  redis.call('ZADD', KEYS[3], now, id)
  if probe == 1 then
    -- Should the probe get lost, another one follows.
    redis.call('HSET', KEYS[1], 'probe', id, 'until', now + math.max(30, tonumber(pause[3])))
  end
end
return { #ids, probe }
