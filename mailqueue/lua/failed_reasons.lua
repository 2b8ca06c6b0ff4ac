-- Counts entries of the failed store by their reason, without handing out the mails in them.
--
-- KEYS  1 failed   2 failed by time
-- ARGV  1 first   2 last, by rank in time
-- Returns a flat list of reason, count.
local counts, flat = {}, {}
for _, id in ipairs(redis.call('ZRANGE', KEYS[2], ARGV[1], ARGV[2])) do
  local entry = redis.call('HGET', KEYS[1], id)
  if entry then
    -- The two first fields of an entry, as it is written.
    local reason = string.match(entry, '^{"id":"[^"]*","reason":"([^"]*)"') or 'unreadable'
    counts[reason] = (counts[reason] or 0) + 1
  end
end
for reason, count in pairs(counts) do
  flat[#flat + 1] = reason
  flat[#flat + 1] = count
end
return flat
