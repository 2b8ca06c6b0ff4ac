-- Claims a batch before it is sent, and says for each message what may be done with it.
--
-- KEYS  1 runs (run -> end of its lease)   2 the route's pause   3… one record for each message
-- ARGV  1 run   2 seconds of a lease   3 seconds a record is kept   4 deaths a message may cause
--       then for each message: id, edition, 'hold' or 'resend'
-- Returns one word for each message:
--   go       claimed
--   resend   claimed; a worker died while handing it over, so it may have been sent
--   hold     claimed; likewise, and its sender wants a person to decide
--   poison   claimed; likewise, and that too many times
--   busy RUN another run, whose lease has not ended, has it
--   paused   its route is paused, and this is not the mail that probes it
--   over     settled before, taken back, or an older copy: nothing is to be done
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local run, lease, ttl, deaths = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local final = { sent = 1, bounced = 1, expired = 1, unknown = 1, cancelled = 1 }

redis.call('ZADD', KEYS[1], now + lease, run)
local paused = redis.call('EXISTS', KEYS[2]) == 1
local probe = paused and redis.call('HGET', KEYS[2], 'probe')

local function verdict(record, id, edition, hold)
  local found = redis.call('HMGET', record, 's', 'e', 'o', 'c')
  local state, current, owner = found[1], tonumber(found[2] or -1), found[3]
  local crashes = tonumber(found[4] or 0)
  if current > edition or (final[state] and current == edition) then return 'over' end
  local word = 'go'
  if (state == 'claimed' or state == 'sending') and current == edition and owner ~= run then
    local lease_ends = redis.call('ZSCORE', KEYS[1], owner)
    if lease_ends and tonumber(lease_ends) > now then return 'busy ' .. owner end
    if state == 'sending' then
      crashes = crashes + 1
      word = hold and 'hold' or (crashes >= deaths and 'poison' or 'resend')
    end
  end
  -- A mail whose fate is a person's to decide needs no route.
  if paused and probe ~= id and (word == 'go' or word == 'resend') then return 'paused' end
  redis.call('HSET', record, 's', 'claimed', 'e', edition, 'o', run, 'c', crashes, 't', now)
  redis.call('EXPIRE', record, ttl)
  return word
end

local words = {}
for i = 3, #KEYS do
  local at = 5 + (i - 3) * 3
  words[i - 2] = verdict(KEYS[i], ARGV[at], tonumber(ARGV[at + 1]), ARGV[at + 2] == 'hold')
end
return words
