-- Adds a batch to sorted sets and moves their checkpoint, all at once.
-- KEYS[1]            the state
-- KEYS[2i], [2i+1]   the sorted set and the orders of set i
-- ARGV[1], ARGV[2]   from which checkpoint (empty: none) to which
-- ARGV[3]            how many sets; then for each its name, and when it is dropped (0: never)
-- then, four by four: the number of a set, a name, a score, an order
-- Answers 1: done; 0: the checkpoint is elsewhere, nothing changed; -1: something is lost
if (redis.call('HGET', KEYS[1], 'at') or '') ~= ARGV[1] then
  return 0
end
local sets = tonumber(ARGV[3])
local fresh = {}
for i = 1, sets do
  local members = redis.call('HGET', KEYS[1], 'n:' .. ARGV[2 + 2 * i])
  if not members then
    fresh[i] = true
  elseif redis.call('ZCARD', KEYS[2 * i]) ~= tonumber(members)
      or redis.call('HLEN', KEYS[2 * i + 1]) ~= tonumber(members) then
    -- Redis made room.
    redis.call('DEL', KEYS[1])
    return -1
  end
end
for i in pairs(fresh) do
  -- Left over from before the state was lost.
  redis.call('DEL', KEYS[2 * i], KEYS[2 * i + 1])
end
for a = 4 + 2 * sets, #ARGV, 4 do
  local i, name = tonumber(ARGV[a]), ARGV[a + 1]
  local order = ARGV[a + 3]
  if redis.call('HSETNX', KEYS[2 * i + 1], name, order) == 0 then
    order = redis.call('HGET', KEYS[2 * i + 1], name)
  end
  redis.call('ZINCRBY', KEYS[2 * i], ARGV[a + 2], order .. name)
end
for i = 1, sets do
  redis.call('HSET', KEYS[1], 'n:' .. ARGV[2 + 2 * i], redis.call('ZCARD', KEYS[2 * i]))
  local until_ms = ARGV[3 + 2 * i]
  if fresh[i] and until_ms ~= '0' then
    redis.call('PEXPIREAT', KEYS[2 * i], until_ms)
    redis.call('PEXPIREAT', KEYS[2 * i + 1], until_ms)
  end
end
redis.call('HSET', KEYS[1], 'at', ARGV[2])
return 1
