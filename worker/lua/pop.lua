-- Take the next message, and note it as unacknowledged, in one step: a client that dies at any
-- moment has either not taken it or has it in its notes.
--
-- KEYS: unacked (hash: tag -> list, newline, message), its index (sorted set: tag, scored by the
--       start of its lease), then the lists to take from, the first that has something.
-- ARGV: the tag, chosen by the client.
-- Returns {list, message}, byte for byte as it was pushed, or nothing.
local noted = redis.call('HGET', KEYS[1], ARGV[1])
if noted then
    -- Asked twice: the first answer was lost with its connection.
    local split = string.find(noted, '\n', 1, true)
    return {string.sub(noted, 1, split - 1), string.sub(noted, split + 1)}
end
for i = 3, #KEYS do
    -- This write comes first: after one that frees memory, a server that is full (maxmemory)
    -- allows the others. A full queue must be emptied, not stand still.
    local raw = redis.call('RPOP', KEYS[i])
    if raw then
        local now = redis.call('TIME')
        redis.call('HSET', KEYS[1], ARGV[1], KEYS[i] .. '\n' .. raw)
        redis.call('ZADD', KEYS[2], now[1] + now[2] / 1000000, ARGV[1])
        return {KEYS[i], raw}
    end
end
return false
