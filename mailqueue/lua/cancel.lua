-- Takes a mail back, unless a worker has claimed it.
--
-- KEYS  1 its record   2 schedule   3 documents   4… parked, of each route that has mail parked
-- ARGV  1 id   2 seconds the record is kept
-- Returns 'cancelled', or the state that it is in.
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local found = redis.call('HMGET', KEYS[1], 's', 'e')
local state = found[1]
local taken = { claimed = 1, sending = 1, sent = 1, bounced = 1, expired = 1, unknown = 1 }
if taken[state] then return state end
local edition = tonumber(found[2] or 0)
redis.call('HSET', KEYS[1], 's', 'cancelled', 'e', edition, 't', now)
redis.call('EXPIRE', KEYS[1], ARGV[2])
redis.call('HDEL', KEYS[3], ARGV[1])
for i = 2, #KEYS do
  if i ~= 3 then redis.call('ZREM', KEYS[i], ARGV[1]) end
end
return 'cancelled'
