-- Raises the count of one node, so that the same may be said twice, late, or in any order.
-- KEYS[1]  a hash: the count of each node
-- ARGV[1]  the node
-- ARGV[2]  its count
-- ARGV[3]  how long the hash is kept, in milliseconds
local old = tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or '0')
if tonumber(ARGV[2]) > old then
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
