-- The first members of a sorted set, with the checkpoint that they account for.
-- KEYS[1], [2], [3]   the state, the sorted set, the orders
-- ARGV[1], ARGV[2]    the name of the set, how many members
-- Answers checkpoint, 0, members and scores in turn; nothing, if what is there can't be believed
local at = redis.call('HGET', KEYS[1], 'at')
local members = tonumber(redis.call('HGET', KEYS[1], 'n:' .. ARGV[1]) or '0')
if not at or (members > 0 and redis.call('ZCARD', KEYS[2]) ~= members) then
  return false
end
if members == 0 then
  -- What may be there is left over from before the state was lost.
  return {at, 0, {}}
end
return {at, 0, redis.call('ZREVRANGE', KEYS[2], 0, ARGV[2] - 1, 'WITHSCORES')}
