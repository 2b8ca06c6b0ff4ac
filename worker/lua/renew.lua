-- Let the leases of these tags begin anew.
--
-- KEYS: the index (see pop.lua). ARGV: tags.
local now = redis.call('TIME')
for i = 1, #ARGV do
    -- Not ZADD XX: a full server refuses it, but not after a removal. A tag that is no longer
    -- there was acknowledged, or given to somebody else, and stays away.
    if redis.call('ZREM', KEYS[1], ARGV[i]) == 1 then
        redis.call('ZADD', KEYS[1], now[1] + now[2] / 1000000, ARGV[i])
    end
end
