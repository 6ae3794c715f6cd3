-- Takes a lock that nobody holds. Answers its fence, or 0.
-- KEYS[1]  the lock
-- KEYS[2]  the fence of its last holder
-- ARGV[1]  the holder
-- ARGV[2]  how long it is held, in milliseconds
if not redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then
  return 0
end
-- From the time in microseconds, so that a Redis that was emptied does not begin anew.
local time = redis.call('TIME')
local fence = time[1] * 1000000 + time[2]
local last = tonumber(redis.call('GET', KEYS[2]) or '0')
if fence <= last then
  fence = last + 1
end
redis.call('SET', KEYS[2], string.format('%.0f', fence), 'PX', 86400000)
return fence
