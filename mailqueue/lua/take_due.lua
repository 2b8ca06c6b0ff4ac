-- Hands out mail whose time has come, under a lease: whoever takes it publishes it and says so
-- (published.lua); after the lease it is handed out again.
--
-- KEYS  1 schedule   2 documents
-- ARGV  1 messages at the most   2 bytes, about, at the most   3 seconds of the lease
-- Returns the end of the lease, as text that says it exactly, then id, "edition|document" …
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local lease_ends = string.format('%.17g', now + tonumber(ARGV[3]))
local taken, bytes = { lease_ends }, 0
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[1])) do
  local document = redis.call('HGET', KEYS[2], id)
  if document then
    redis.call('ZADD', KEYS[1], lease_ends, id)
    taken[#taken + 1] = id
    taken[#taken + 1] = document
    bytes = bytes + #document
    if bytes > tonumber(ARGV[2]) then break end
  else
    redis.call('ZREM', KEYS[1], id)
  end
end
return taken
