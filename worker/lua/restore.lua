-- Put unacknowledged messages back onto their lists: the given tags, or those whose lease ended.
--
-- KEYS: unacked, its index (see pop.lua).
-- ARGV: RPUSH (next to be taken) or LPUSH (behind the others);
--       a list for what does not say where it came from (written by another program);
--       seconds a lease lasts and how many tags at most, or '' twice; tags.
-- Returns how many tags were looked at.
local tags = {}
if ARGV[3] ~= '' then
    -- The server's clock decides, for clients' clocks differ.
    local now = redis.call('TIME')
    local ended = now[1] + now[2] / 1000000 - ARGV[3]
    tags = redis.call('ZRANGE', KEYS[2], '-inf', ended, 'BYSCORE', 'LIMIT', 0, ARGV[4])
else
    for i = 5, #ARGV do
        tags[#tags + 1] = ARGV[i]
    end
end
-- From the youngest to the oldest, so that the oldest ends at the head.
for i = #tags, 1, -1 do
    local noted = redis.call('HGET', KEYS[1], tags[i])
    local split = noted and string.find(noted, '\n', 1, true)
    local list = split and string.sub(noted, 1, split - 1) or ARGV[2]
    if not noted then
        redis.call('ZREM', KEYS[2], tags[i])
    elseif list ~= '' then
        -- Removing comes first, as in pop.lua: it is allowed on a full server.
        redis.call('HDEL', KEYS[1], tags[i])
        redis.call('ZREM', KEYS[2], tags[i])
        redis.call(ARGV[1], list, split and string.sub(noted, split + 1) or noted)
    end
end
return #tags
