-- Counts the messages of batches in a broker's queue, by what each task says of itself.
--
-- KEYS  1 the queue, a list of tasks
-- ARGV  1 first   2 last
-- Returns the sum. A task that says nothing counts as nothing.
local messages = 0
for _, task in ipairs(redis.call('LRANGE', KEYS[1], ARGV[1], ARGV[2])) do
  -- Found as plain text, which is fast; a body cannot hold it, being base64.
  local at = string.find(task, '"argsrepr"', 1, true)
  local size = at and string.match(task, '^"argsrepr": ?"%((%d+) messages', at)
  messages = messages + tonumber(size or 0)
end
return messages
