-- Gives back the place of a message that was not sent.
--
-- KEYS  one for each limit
-- ARGV  for each limit: the first slice it was booked in, units
-- Returns how many limits still knew of it.
local known = 0
for number, key in ipairs(KEYS) do
  local kept = redis.call('GET', key)
  if kept then
    local numbers = cmsgpack.unpack(kept)
    local slice, units = tonumber(ARGV[number * 2 - 1]), tonumber(ARGV[number * 2])
    local at = slice - numbers[1] + 2
    if at >= 2 and at <= #numbers then known = known + 1 end
    -- A message with many recipients may have filled several slices.
    while units > 0 and at >= 2 and at <= #numbers do
      local back = math.min(units, numbers[at])
      numbers[at] = numbers[at] - back
      units, at = units - back, at + 1
    end
    redis.call('SET', key, cmsgpack.pack(numbers), 'KEEPTTL')
  end
end
return known
