-- Lets one mail try a route whose pause has lasted long enough, if no other does so now.
--
-- KEYS  1 the pause
-- ARGV  1 id
-- Returns 1 where this mail is the probe.
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local pause = redis.call('HMGET', KEYS[1], 'kind', 'until', 'seconds')
if not pause[1] or pause[1] == 'manual' or tonumber(pause[2]) > now then return 0 end
redis.call('HSET', KEYS[1], 'probe', ARGV[1], 'until', now + math.max(30, tonumber(pause[3])))
return 1
