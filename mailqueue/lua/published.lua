-- Forgets scheduled mail that the broker has, unless it was put back meanwhile: a worker may be
-- faster than the poller that published for it. What was put back is in another place, or due at
-- another time than the end of the poller's lease.
--
-- KEYS  1 schedule   2 documents
-- ARGV  id, end of the lease, id, end of the lease …
local forgotten = 0
for i = 1, #ARGV, 2 do
  local due = redis.call('ZSCORE', KEYS[1], ARGV[i])
  if due and tonumber(due) == tonumber(ARGV[i + 1]) then
    redis.call('HDEL', KEYS[2], ARGV[i])
    redis.call('ZREM', KEYS[1], ARGV[i])
    forgotten = forgotten + 1
  end
end
return forgotten
