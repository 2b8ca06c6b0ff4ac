-- Marks a claimed message as being handed over, from where on nobody can know until it is settled.
--
-- KEYS  1 its record   2 runs
-- ARGV  1 run   2 seconds of a lease
-- Returns 1, or 0 where the claim is not this run's any more: then it must not be sent.
local found = redis.call('HMGET', KEYS[1], 's', 'o')
if found[2] ~= ARGV[1] then return 0 end
if found[1] == 'claimed' then
  redis.call('HSET', KEYS[1], 's', 'sending')
elseif found[1] ~= 'sending' then
  return 0
end
-- Whoever gets the batch as well, this run having been taken for dead, shall see that it lives.
local time = redis.call('TIME')
redis.call('ZADD', KEYS[2], tonumber(time[1]) + tonumber(time[2]) / 1000000 + tonumber(ARGV[2]), ARGV[1])
return 1
