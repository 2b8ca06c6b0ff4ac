-- Lets a message wait that was not claimed: its route is paused, or another worker has it.
--
-- KEYS  1 its record   2 schedule   3 documents   4 parked (a line)
-- ARGV  1 id   2 edition   3 delay in seconds; parked: what its priority is worth in such
--       4 document   5 '1': parked, not scheduled
--       6 seconds the record is kept   7 detail
-- Returns 1, or 0 where it is settled or a newer copy waits already.
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local id, edition = ARGV[1], tonumber(ARGV[2])
local final = { sent = 1, bounced = 1, expired = 1, unknown = 1, cancelled = 1 }

local found = redis.call('HMGET', KEYS[1], 's', 'e')
local state, current = found[1], tonumber(found[2] or -1)
if current > edition or (final[state] and current == edition) then return 0 end
local waiting = redis.call('HGET', KEYS[3], id)
if waiting and tonumber(string.match(waiting, '^%d+')) > edition then return 0 end

local place, other = KEYS[2], KEYS[4]
if ARGV[5] == '1' then place, other = other, place end
redis.call('ZREM', other, id)
redis.call('ZADD', place, now + tonumber(ARGV[3]), id)
redis.call('HSET', KEYS[3], id, edition .. '|' .. ARGV[4])
-- While another worker has it, the record speaks of that.
if state ~= 'claimed' and state ~= 'sending' then
  redis.call('HSET', KEYS[1], 's', 'deferred', 'e', edition, 'd', ARGV[7], 't', now)
  local waits = ARGV[5] == '1' and 0 or tonumber(ARGV[3])
  redis.call('EXPIRE', KEYS[1], math.ceil(tonumber(ARGV[6]) + waits))
end
return 1
