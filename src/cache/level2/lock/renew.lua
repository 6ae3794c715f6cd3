-- Holds a lock for longer, if it is still the holder's. Answers 1, or 0 if it is not.
-- KEYS and ARGV as in take.lua
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
