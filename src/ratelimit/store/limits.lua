-- Decides for a request: looks at all tiers of all its charges, then takes from all or from none; or gives
-- back what a request was charged. It mirrors `arithmetic.rs`, with whole numbers below 2^53, by the
-- clock of this server. It runs for every request: few functions and no tables but flat ones, as each is
-- made anew in every call.
-- KEYS     a key for every tier of every charge, in their order; all in one slot of a cluster; to give back,
--          one more, for a mark that this is done
-- ARGV[1]  take, look (takes nothing) or back
-- ARGV[2]  the request, unique: entries of a log begin with it
-- ARGV[3]  how many charges; then of each: how many tiers, 1 for a shadow, the cost, what is wanted in
--          its place if that fits; and of each tier:
--            fixed | sliding | log   limit, window in µs
--            bucket                  limit, then as µs and 1/limit µs: the capacity, the cost, what is wanted
--          to give back, of each tier besides: the `at` and `count` that the charge left behind
-- Answers  the time in µs, then of each charge: 0 if it does not fit, 1 if it does, 2 if what is wanted
--          does; and of each tier `at`, `count` and `before`, after the decision.
local LINGER_MS = 1
local MARK_MS = 60000
local MICROS = 1000000
local call = redis.call
local time = redis.call('TIME')
local now = time[1] * MICROS + time[2]
local mode, request = ARGV[1], ARGV[2]

-- The numbers of a tier as they are now, and whether there were any. `a` is the place of its algorithm.
local function read(key, a)
  local at, count, before = 0, 0, 0
  local kept = call('GET', key)
  if kept then
    at, count, before = struct.unpack('>I8I8I8', kept)
  end
  if ARGV[a] == 'bucket' then
    if at < now then
      return now, 0, before, kept
    end
    local full_us, full_part = now + ARGV[a + 2], tonumber(ARGV[a + 3])
    if at > full_us or (at == full_us and count > full_part) then
      return full_us, full_part, before, kept
    end
    return at, count, before, kept
  end
  local window = tonumber(ARGV[a + 2])
  local start = now - now % window
  if at > start + window then
    -- The clock was far ahead, and is not any more.
    return start, count, 0, kept
  end
  if start <= at then
    return at, count, before, kept
  end
  if ARGV[a] == 'sliding' and start - at == window then
    return start, 0, count, kept
  end
  return start, 0, 0, kept
end

-- Writes them for as long as it takes until all is back: never less, never for ever.
local function keep(key, a, at, count, before)
  local full_at = now
  if ARGV[a] == 'bucket' then
    full_at = count > 0 and at + 1 or at
  elseif count > 0 then
    full_at = at + ARGV[a + 2] * (ARGV[a] == 'sliding' and 2 or 1)
  elseif before > 0 then
    full_at = at + ARGV[a + 2]
  end
  local lives_ms = math.ceil(math.max(full_at - now, 0) / 1000) + LINGER_MS
  call('SET', key, struct.pack('>I8I8I8', at, count, before), 'PX', lives_ms)
end

-- A log is a sorted set with a member for every unit; entries that are too old are taken out first.
-- Its numbers: the newest entry, how many there are, and the one that must leave before the cost fits.
local function read_log(key, a, cost)
  call('ZREMRANGEBYSCORE', key, '-inf', string.format('%.0f', now - ARGV[a + 2]))
  -- Nor from when the clock was far ahead.
  call('ZREMRANGEBYSCORE', key, '(' .. string.format('%.0f', now + ARGV[a + 2]), '+inf')
  local count = call('ZCARD', key)
  if count == 0 then
    return 0, 0, 0
  end
  local to_go = math.min(math.max(count + cost - ARGV[a + 1], 1), count)
  local newest = call('ZRANGE', key, -1, -1, 'WITHSCORES')
  local leaves = call('ZRANGE', key, to_go - 1 - count, to_go - 1 - count, 'WITHSCORES')
  return tonumber(newest[2]), count, tonumber(leaves[2])
end

if mode == 'back' then
  -- The way to a cluster may send a call again after it lost the answer. By then it is not sent any more.
  if not call('SET', KEYS[#KEYS], 1, 'NX', 'PX', MARK_MS) then
    return {now}
  end
  local n, k = 3, 0
  for _ = 1, ARGV[3] do
    local tiers, cost = tonumber(ARGV[n + 1]), tonumber(ARGV[n + 3])
    n = n + 4
    for _ = 1, tiers do
      k = k + 1
      local key, a = KEYS[k], n + 1
      local limit = tonumber(ARGV[a + 1])
      n = n + (ARGV[a] == 'bucket' and 8 or 3)
      local mark_at, mark_count = tonumber(ARGV[n + 1]), tonumber(ARGV[n + 2])
      n = n + 2
      if ARGV[a] == 'log' then
        for unit = 1, cost do
          call('ZREM', key, request .. ':' .. unit)
        end
      else
        local at, count, before, kept = read(key, a)
        if not kept then
          -- Nothing is made of nothing.
        elseif ARGV[a] ~= 'bucket' then
          if mark_at == at then
            count = math.max(count - cost, 0)
          elseif ARGV[a] == 'sliding' and mark_at + ARGV[a + 2] == at then
            before = math.max(before - cost, 0)
          end
        elseif mark_at > before or (mark_at == before and mark_count > 0) then
          -- The least of the cost, what is left of it, and all that is owed.
          local us, part = tonumber(ARGV[a + 4]), tonumber(ARGV[a + 5])
          local left_us = mark_at - before
          if us > left_us or (us == left_us and part > mark_count) then
            us, part = left_us, mark_count
          end
          if us > at - now or (us == at - now and part > count) then
            us, part = at - now, count
          end
          at, count = at - us, count - part
          if count < 0 then
            at, count = at - 1, count + limit
          end
        end
        if kept then
          keep(key, a, at, count, before)
        end
      end
    end
  end
  return {now}
end

-- First look at all.
local answer, places, size = {now}, {}, 1
local n, k, allowed = 3, 0, true
for _ = 1, ARGV[3] do
  local tiers, shadow = tonumber(ARGV[n + 1]), ARGV[n + 2]
  local need, want = tonumber(ARGV[n + 3]), tonumber(ARGV[n + 4])
  n = n + 4
  local fits, wants, verdict = true, want > need, size + 1
  size = size + 1
  for _ = 1, tiers do
    k = k + 1
    local a = n + 1
    local algorithm, limit = ARGV[a], tonumber(ARGV[a + 1])
    local at, count, before
    places[k] = a
    if algorithm == 'bucket' then
      n = n + 8
      at, count, before = read(KEYS[k], a)
      local full_us, full_part = now + ARGV[a + 2], tonumber(ARGV[a + 3])
      local us, part = at + ARGV[a + 4], count + ARGV[a + 5]
      if part >= limit then
        us, part = us + 1, part - limit
      end
      fits = fits and (us < full_us or (us == full_us and part <= full_part))
      if wants then
        us, part = at + ARGV[a + 6], count + ARGV[a + 7]
        if part >= limit then
          us, part = us + 1, part - limit
        end
        wants = us < full_us or (us == full_us and part <= full_part)
      end
    else
      n = n + 3
      local room, weighed
      if algorithm == 'log' then
        at, count, before = read_log(KEYS[k], a, need)
        room, weighed = limit - count, 0
      else
        at, count, before = read(KEYS[k], a)
        room, weighed = limit - count, 0
        if algorithm == 'sliding' then
          local ticks = math.floor(math.max(now - at, 0) / (ARGV[a + 2] / MICROS))
          weighed = before * (MICROS - math.min(ticks, MICROS))
        end
      end
      fits = fits and need <= room and weighed <= (room - need) * MICROS
      wants = wants and want <= room and weighed <= (room - want) * MICROS
    end
    answer[size + 1], answer[size + 2], answer[size + 3] = at, count, before
    size = size + 3
  end
  answer[verdict] = not fits and 0 or (wants and 2 or 1)
  allowed = allowed and (fits or shadow == '1')
end
if mode == 'look' or not allowed then
  return answer
end

-- Then take from all that fits.
n, k, size = 3, 0, 1
for _ = 1, ARGV[3] do
  local tiers, need, want = tonumber(ARGV[n + 1]), tonumber(ARGV[n + 3]), tonumber(ARGV[n + 4])
  local verdict = answer[size + 1]
  local cost = verdict == 2 and want or need
  size = size + 1
  n = n + 4
  for _ = 1, tiers do
    k = k + 1
    local key, a = KEYS[k], places[k]
    local at, count, before = answer[size + 1], answer[size + 2], answer[size + 3]
    n = n + (ARGV[a] == 'bucket' and 8 or 3)
    if verdict == 0 then
      -- A shadow that would refuse is not charged.
    elseif ARGV[a] == 'bucket' then
      local span = a + (verdict == 2 and 6 or 4)
      at, count, before = at + ARGV[span], count + ARGV[span + 1], now
      if count >= tonumber(ARGV[a + 1]) then
        at, count = at + 1, count - ARGV[a + 1]
      end
      keep(key, a, at, count, before)
    elseif ARGV[a] == 'log' then
      at = math.max(now, at)
      for unit = 1, cost do
        call('ZADD', key, string.format('%.0f', at), request .. ':' .. unit)
      end
      at, count, before = read_log(key, a, 0)
      call('PEXPIRE', key, math.ceil((at + ARGV[a + 2] - now) / 1000) + LINGER_MS)
    else
      count = count + cost
      keep(key, a, at, count, before)
    end
    answer[size + 1], answer[size + 2], answer[size + 3] = at, count, before
    size = size + 3
  end
end
return answer
