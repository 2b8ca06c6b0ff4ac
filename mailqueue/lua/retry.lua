-- Takes a mail out of the failed store and makes it due, unless it is on its way already.
--
-- KEYS  1 failed   2 failed by time   3 its record   4 schedule   5 documents
-- ARGV  1 id   2 the record's edition as it was read (-1: no record)   3 the new edition
--       4 document   5 seconds the record is kept   6 the entry as it was read
-- Returns 'retried', 'gone' (the entry), 'live' (on its way) or 'changed' (read it again).
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local entry = redis.call('HGET', KEYS[1], ARGV[1])
if not entry then return 'gone' end
local found = redis.call('HMGET', KEYS[3], 's', 'e')
if tonumber(found[2] or -1) ~= tonumber(ARGV[2]) or entry ~= ARGV[6] then return 'changed' end
local final = { sent = 1, bounced = 1, expired = 1, unknown = 1, cancelled = 1 }
if found[1] and not final[found[1]] then return 'live' end
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('DEL', KEYS[3])
redis.call('HSET', KEYS[3], 's', 'queued', 'e', ARGV[3], 't', now)
redis.call('EXPIRE', KEYS[3], ARGV[5])
redis.call('HSET', KEYS[5], ARGV[1], ARGV[3] .. '|' .. ARGV[4])
redis.call('ZADD', KEYS[4], now, ARGV[1])
return 'retried'
