-- These tags are done with.
--
-- KEYS: unacked, its index (see pop.lua). ARGV: tags.
for i = 1, #ARGV do
    redis.call('HDEL', KEYS[1], ARGV[i])
    redis.call('ZREM', KEYS[2], ARGV[i])
end
