-- Forgets scheduled mail that the broker has, unless it was put back meanwhile.
--
-- KEYS  1 schedule   2 documents
-- ARGV  id, edition, id, edition …
local forgotten = 0
for i = 1, #ARGV, 2 do
  local document = redis.call('HGET', KEYS[2], ARGV[i])
  if document and string.match(document, '^%d+') == ARGV[i + 1] then
    redis.call('HDEL', KEYS[2], ARGV[i])
    redis.call('ZREM', KEYS[1], ARGV[i])
    forgotten = forgotten + 1
  end
end
return forgotten
