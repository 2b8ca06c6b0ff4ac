-- Records what came of a message that this run had claimed, puts it where it waits if it has to,
-- and marks the next one as being handed over: one round trip between two messages.
--
-- KEYS  1 its record   2 the next message's record   3 schedule   4 documents   5 parked (a line)
--       6 totals   7 runs   8 metrics of this worker (none: they are not wanted)
-- ARGV  1 run   2 id   3 edition   4 status   5 detail   6 attempts   7 recipients served
--       8 recipients failed   9 delay; parked: what its priority is worth in seconds of waiting
--       10 document, empty if it does not wait
--       11 '1': parked, not scheduled   12 seconds the record is kept   13 route
--       14 '1': begin the next one   15 seconds of a lease, renewed where the next one is begun
--       16 seconds the metrics are kept   17… fields of them, each followed by what is added to it
-- Returns {settled, begun}, each 1 or 0. Not settled: the message is not this run's any more.
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local run, id, edition, status = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local document, ttl = ARGV[10], tonumber(ARGV[12])

local found = redis.call('HMGET', KEYS[1], 's', 'e', 'o')
-- No record at all: the store forgot it. Better this run's word than none.
local mine = not found[1] or (found[3] == run and tonumber(found[2]) == edition)
-- What was sent was sent, also if this run was given up for dead meanwhile.
if not mine and status == 'sent' and found[1] ~= 'sent' then
  mine = true
  edition = math.max(edition, tonumber(found[2] or 0))
end

local settled = 0
if mine then
  settled = 1
  if document == '' then
    redis.call('ZREM', KEYS[3], id)
    redis.call('ZREM', KEYS[5], id)
    redis.call('HDEL', KEYS[4], id)
  else
    edition = edition + 1
    local due = now + tonumber(ARGV[9])
    local place, other = KEYS[3], KEYS[5]
    if ARGV[11] == '1' then place, other = other, place end
    redis.call('ZREM', other, id)
    redis.call('ZADD', place, due, id)
    redis.call('HSET', KEYS[4], id, edition .. '|' .. document)
    if ARGV[11] ~= '1' then ttl = ttl + due - now end
  end
  redis.call('HSET', KEYS[1], 's', status, 'e', edition, 'd', ARGV[5], 'n', ARGV[6], 't', now)
  redis.call('HDEL', KEYS[1], 'o', 'c')
  if ARGV[7] ~= '0' then redis.call('HINCRBY', KEYS[1], 'ok', ARGV[7]) end
  if ARGV[8] ~= '0' then redis.call('HINCRBY', KEYS[1], 'bad', ARGV[8]) end
  -- One recipient served does not make up for another who was refused in an earlier attempt.
  if status == 'sent' and tonumber(redis.call('HGET', KEYS[1], 'bad') or 0) > 0 then
    redis.call('HSET', KEYS[1], 's', 'bounced')
  end
  redis.call('EXPIRE', KEYS[1], math.ceil(ttl))
  redis.call('HINCRBY', KEYS[6], ARGV[13] .. ':' .. status, 1)
  -- In the same step, so that what is counted is what is recorded, whenever a worker is killed.
  if KEYS[8] then
    for at = 17, #ARGV, 2 do redis.call('HINCRBY', KEYS[8], ARGV[at], ARGV[at + 1]) end
    redis.call('EXPIRE', KEYS[8], ARGV[16])
  end
end

local begun = 0
if ARGV[14] == '1' then
  local following = redis.call('HMGET', KEYS[2], 's', 'o')
  if following[1] == 'claimed' and following[2] == run then
    redis.call('HSET', KEYS[2], 's', 'sending')
    redis.call('ZADD', KEYS[7], now + tonumber(ARGV[15]), run)
    begun = 1
  end
end
return { settled, begun }
