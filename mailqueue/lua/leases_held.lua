-- Counts the connections of a route that are held.
--
-- KEYS  1 connections (holder -> end of its lease)
-- Returns how many leases are not over.
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
return redis.call('ZCOUNT', KEYS[1], '(' .. string.format('%.6f', now), '+inf')
