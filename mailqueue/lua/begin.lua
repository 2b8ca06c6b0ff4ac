-- Marks a claimed message as being handed over, from where on nobody can know until it is settled.
--
-- KEYS  1 its record   2 runs
-- ARGV  1 run   2 seconds of a lease   3 edition   4 seconds the record is kept
-- Returns 1, or 0 where the claim is not this run's any more: then it must not be sent.
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local found = redis.call('HMGET', KEYS[1], 's', 'o')
if not found[1] then
  -- A store that forgot (flushed, restored from an older copy) must not cost mail: claim it again.
  redis.call('HSET', KEYS[1], 's', 'sending', 'e', ARGV[3], 'o', ARGV[1], 'c', 0, 't', now)
  redis.call('EXPIRE', KEYS[1], ARGV[4])
elseif found[2] ~= ARGV[1] then
  return 0
elseif found[1] == 'claimed' then
  redis.call('HSET', KEYS[1], 's', 'sending')
elseif found[1] ~= 'sending' then
  return 0
end
-- Whoever gets the batch as well, this run having been taken for dead, shall see that it lives.
redis.call('ZADD', KEYS[2], now + tonumber(ARGV[2]), ARGV[1])
return 1
