-- A member of a sorted set and those next to it, with the checkpoint that they account for.
-- KEYS[1], [2], [3]   the state, the sorted set, the orders
-- ARGV[1], [2], [3]   the name of the set, the member's name, how many neighbours on each side
-- Answers checkpoint, place of the first, members and scores in turn (none: there is no such
-- member); nothing, if what is there can't be believed
local at = redis.call('HGET', KEYS[1], 'at')
local members = tonumber(redis.call('HGET', KEYS[1], 'n:' .. ARGV[1]) or '0')
if not at or (members > 0 and (redis.call('ZCARD', KEYS[2]) ~= members
    or redis.call('HLEN', KEYS[3]) ~= members)) then
  return false
end
local order = members > 0 and redis.call('HGET', KEYS[3], ARGV[2])
if not order then
  return {at, 0, {}}
end
local place = redis.call('ZREVRANK', KEYS[2], order .. ARGV[2])
if not place then
  return false
end
local first = math.max(0, place - ARGV[3])
return {at, first, redis.call('ZREVRANGE', KEYS[2], first, place + ARGV[3], 'WITHSCORES')}
