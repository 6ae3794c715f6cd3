-- Gives a lock back, if it is still the holder's.
-- KEYS and ARGV as in take.lua
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
return redis.call('DEL', KEYS[1])
