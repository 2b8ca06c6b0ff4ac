-- Renews leases of connections, as far as they are still held.
--
-- KEYS  1 connections (holder -> end of its lease)
-- ARGV  1 seconds of a lease   2… holders
-- Returns for each holder 1, or 0 where it holds nothing any more.
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local seconds, answer = tonumber(ARGV[1]), {}
for i = 2, #ARGV do
  -- Whoever takes a connection removes what is over: what is still there was given to nobody.
  local held = redis.call('ZSCORE', KEYS[1], ARGV[i])
  if held then redis.call('ZADD', KEYS[1], now + seconds, ARGV[i]) end
  answer[i - 1] = held and 1 or 0
end
local last = redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')
if last[2] then
  redis.call('PEXPIRE', KEYS[1], math.max(0, math.ceil((tonumber(last[2]) - now) * 1000)) + 60000)
end
return answer
