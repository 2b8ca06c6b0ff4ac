-- Notes that a mail went out by a route; if it was the probe, the route is open again.
--
-- KEYS  1 the pause   2 how often in a row   3 failures to connect in a row
-- ARGV  1 id
-- Returns 1 where this opened the route.
redis.call('DEL', KEYS[3])
if redis.call('HGET', KEYS[1], 'probe') ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1], KEYS[2])
return 1
