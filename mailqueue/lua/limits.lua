-- Asks several limits at once: for one message, which is booked in all of them or in none, or for
-- what they have room for. limits.py explains the slices.
--
-- KEYS  one for each limit
-- ARGV  1 'take' or 'look'   2 patience: microseconds to look ahead
--       then for each limit:  count   most in one slice   slices in a period   their microseconds
--                             units wanted   units that have to fit into one slice
-- Returns, for 'take', {1 if booked, microseconds to wait, the moment in microseconds, and for each
-- limit the first slice it was booked in}; for 'look', for each limit: used in the last period,
-- units that would fit, up to those wanted.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local patience = tonumber(ARGV[2])

-- A limit with what it holds, as it is kept: numbers[1] is the oldest slice that matters, what is
-- booked in it is numbers[2], and so on. Slices are spoken of by their place in that list.
local function read(number)
  local at = 2 + (number - 1) * 6
  local limit = {
    key = KEYS[number], count = tonumber(ARGV[at + 1]), burst = tonumber(ARGV[at + 2]),
    slices = tonumber(ARGV[at + 3]), width = tonumber(ARGV[at + 4]),
    units = tonumber(ARGV[at + 5]), at_once = tonumber(ARGV[at + 6]),
  }
  local oldest = math.floor(now / limit.width) - limit.slices
  limit.base, limit.current, limit.numbers = oldest - 2, limit.slices + 2, { oldest }
  local kept = redis.call('GET', limit.key)
  local found = kept and cmsgpack.unpack(kept) or limit.numbers
  local shift = oldest - found[1]
  if shift == 0 then
    limit.numbers = found
  elseif shift > -100000 then  -- So far ahead nothing is booked, unless the clock was set back.
    local numbers = limit.numbers
    for i = 2, 1 - shift do numbers[i] = 0 end
    for i = math.max(2, 2 + shift), #found do numbers[#numbers + 1] = found[i] end
  end
  return limit
end

-- sums[k]: what is in a row of slices that ends with k, as many as a period can touch. Most limits
-- are far from full, even counting all they hold: there no row needs to be looked at.
local function add_up(limit)
  local numbers, total = limit.numbers, limit.units
  for i = 2, #numbers do total = total + numbers[i] end
  limit.sums = {}
  if total <= limit.count and ARGV[1] == 'take' then return end
  local sum, row, sums = 0, limit.slices + 1, limit.sums
  for k = 2, math.max(limit.current, #numbers) + limit.slices do
    sum = sum + (numbers[k] or 0)
    if k - row >= 2 then sum = sum - (numbers[k - row] or 0) end
    sums[k] = sum
  end
end

-- After the last one that is booked, sums only fall.
local function highest(limit, slice)
  return math.max(slice, math.min(slice + limit.slices, #limit.numbers))
end

local function earliest(limit, slice)
  while true do
    local following = slice
    if (limit.numbers[slice] or 0) + limit.at_once > limit.burst then
      following = slice + 1
    else
      for k = highest(limit, slice), slice, -1 do
        if (limit.sums[k] or 0) + limit.at_once > limit.count then
          following = k + 1
          break
        end
      end
    end
    if following == slice then return slice end
    slice = following
  end
end

-- Books up to this many units in one slice; returns how many.
local function book(limit, slice, units)
  local numbers, sums = limit.numbers, limit.sums
  local fit = math.min(units, limit.burst - (numbers[slice] or 0))
  for k = slice, highest(limit, slice) do fit = math.min(fit, limit.count - (sums[k] or 0)) end
  if fit <= 0 then return 0 end
  for i = #numbers + 1, slice do numbers[i] = 0 end
  numbers[slice] = numbers[slice] + fit
  if sums[2] then
    for k = slice, slice + limit.slices do sums[k] = (sums[k] or 0) + fit end
  end
  return fit
end

local limits = {}
for number = 1, #KEYS do
  limits[number] = read(number)
  add_up(limits[number])
end

if ARGV[1] == 'look' then
  local answer = {}
  for _, limit in ipairs(limits) do
    local fit, used = 0, limit.sums[limit.current]
    for slice = limit.current, math.floor((now + patience) / limit.width) - limit.base do
      if fit >= limit.units then break end
      fit = fit + book(limit, slice, limit.units - fit)
    end
    answer[#answer + 1] = used
    answer[#answer + 1] = fit
  end
  return answer
end

-- The first moment that suits all of them.
local moment, before = now, nil
while moment ~= before do
  before = moment
  for _, limit in ipairs(limits) do
    local slice = math.floor(moment / limit.width) - limit.base
    local found = earliest(limit, slice)
    if found > slice then moment = (found + limit.base) * limit.width end
  end
end
if moment - now > patience then return { 0, moment - now, moment } end

local answer = { 1, moment - now, moment }
for _, limit in ipairs(limits) do
  local slice, units = math.floor(moment / limit.width), limit.units
  answer[#answer + 1] = slice
  slice = slice - limit.base
  while units > 0 do
    units = units - book(limit, slice, units)
    slice = slice + 1
  end
  local ends = (limit.base + #limit.numbers + limit.slices + 1) * limit.width
  redis.call('SET', limit.key, cmsgpack.pack(limit.numbers), 'PX', math.ceil((ends - now) / 1000))
end
return answer
