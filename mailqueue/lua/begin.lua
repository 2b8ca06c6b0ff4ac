-- Marks a claimed message as being handed over, from where on nobody can know until it is settled.
--
-- KEYS  1 its record
-- ARGV  1 run
-- Returns 1, or 0 where the claim is not this run's any more: then it must not be sent.
local found = redis.call('HMGET', KEYS[1], 's', 'o')
if found[2] ~= ARGV[1] then return 0 end
if found[1] == 'claimed' then
  redis.call('HSET', KEYS[1], 's', 'sending')
elseif found[1] ~= 'sending' then
  return 0
end
return 1
