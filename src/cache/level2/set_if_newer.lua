-- Keeps an entry unless a newer one is here. One call, so that nobody comes between the look
-- and the write. Answers 1 if it was kept.
-- KEYS[1]  the key
-- ARGV[1]  the entry: its version (8 bytes, highest first), then 0 for a tombstone or 1, then its value
-- ARGV[2]  how long it is kept, in milliseconds
-- What is no string is nothing of ours, and stays in nobody's way.
local old = redis.pcall('GETRANGE', KEYS[1], 0, 7)
if type(old) == 'string' and #old == 8 then
  -- Two halves: a number of Lua's holds 53 bits only.
  local old_high, old_low = struct.unpack('>I4I4', old)
  local high, low = struct.unpack('>I4I4', ARGV[1])
  if old_high > high or (old_high == high and old_low > low) then
    return 0
  end
  local tombstone = string.byte(ARGV[1], 9) == 0
  if old_high == high and old_low == low and not tombstone then
    return 0
  end
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
