-- Renews the leases of runs that go on.
--
-- KEYS  1 runs
-- ARGV  1 seconds of a lease   2… runs
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
for i = 2, #ARGV do
  redis.call('ZADD', KEYS[1], now + tonumber(ARGV[1]), ARGV[i])
end
-- Runs that ended without a word, long after anybody could ask for them.
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - 3600)
return #ARGV - 1
