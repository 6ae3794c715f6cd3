-- Decides for a request: looks at all tiers of all its charges, then takes from all or from none; or gives
-- back what a request was charged. It mirrors `arithmetic.rs`, with whole numbers below 2^53, by the
-- clock of this server.
-- KEYS     a key for every tier of every charge, in their order; all in one slot of a cluster
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
local MICROS = 1000000
local time = redis.call('TIME')
local now = time[1] * MICROS + time[2]
local mode, request, charges = ARGV[1], ARGV[2], tonumber(ARGV[3])
local last = 3

local function word()
  last = last + 1
  return ARGV[last]
end

local function number()
  return tonumber(word())
end

local function whole(n)
  return string.format('%.0f', n)
end

-- Times with a fraction: µs and parts of 1/limit µs.
local function is_later(us, part, than_us, than_part)
  return us > than_us or (us == than_us and part > than_part)
end

local function plus(tier, us, part)
  local sum = tier.count + part
  local carry = sum >= tier.limit and 1 or 0
  return tier.at + us + carry, sum - carry * tier.limit
end

local function minus(limit, us, part, less_us, less_part)
  local borrow = part < less_part and 1 or 0
  return us - less_us - borrow, part + borrow * limit - less_part
end

local advance, fits, take, back, full_at = {}, {}, {}, {}, {}

function advance.fixed(tier)
  local start = now - now % tier.window
  if start > tier.at then
    tier.at, tier.count, tier.before = start, 0, 0
  end
end

function advance.sliding(tier)
  local start = now - now % tier.window
  if start > tier.at then
    tier.before = start - tier.at == tier.window and tier.count or 0
    tier.at, tier.count = start, 0
  end
end

function advance.bucket(tier)
  if tier.at < now then
    tier.at, tier.count = now, 0
  elseif is_later(tier.at, tier.count, now + tier.full_us, tier.full_part) then
    tier.at, tier.count = now + tier.full_us, tier.full_part
  end
end

function fits.fixed(tier, cost)
  return tier.count + cost <= tier.limit
end
fits.log = fits.fixed

function fits.sliding(tier, cost)
  local room = (tier.limit - tier.count - cost) * MICROS
  local ticks = math.floor(math.max(now - tier.at, 0) / (tier.window / MICROS))
  return room >= 0 and tier.before * (MICROS - math.min(ticks, MICROS)) <= room
end

function fits.bucket(tier, _, us, part)
  local at, count = plus(tier, us, part)
  return not is_later(at, count, now + tier.full_us, tier.full_part)
end

function take.fixed(tier, cost)
  tier.count = tier.count + cost
end
take.sliding = take.fixed

function take.bucket(tier, _, us, part)
  tier.at, tier.count = plus(tier, us, part)
  tier.before = now
end

function back.fixed(tier, cost)
  if tier.mark_at == tier.at then
    tier.count = math.max(tier.count - cost, 0)
  end
end

function back.sliding(tier, cost)
  if tier.mark_at == tier.at then
    tier.count = math.max(tier.count - cost, 0)
  elseif tier.mark_at + tier.window == tier.at then
    tier.before = math.max(tier.before - cost, 0)
  end
end

function back.bucket(tier)
  if not is_later(tier.mark_at, tier.mark_part, tier.before, 0) then
    return
  end
  local us, part = tier.need_us, tier.need_part
  local left_us, left_part = minus(tier.limit, tier.mark_at, tier.mark_part, tier.before, 0)
  if is_later(us, part, left_us, left_part) then
    us, part = left_us, left_part
  end
  if is_later(us, part, tier.at - now, tier.count) then
    us, part = tier.at - now, tier.count
  end
  tier.at, tier.count = minus(tier.limit, tier.at, tier.count, us, part)
end

function full_at.fixed(tier)
  return tier.count > 0 and tier.at + tier.window or now
end
full_at.log = full_at.fixed

function full_at.sliding(tier)
  if tier.count > 0 then
    return tier.at + 2 * tier.window
  end
  return tier.before > 0 and tier.at + tier.window or now
end

function full_at.bucket(tier)
  return tier.at + (tier.count > 0 and 1 or 0)
end

-- How long a key stays: until all is back, never less, never for ever.
local function lifetime(tier)
  local us = math.max(full_at[tier.algorithm](tier) - now, 0)
  return whole(math.ceil(us / 1000) + LINGER_MS)
end

-- A log is a sorted set with a member for every unit; entries that are too old stay until the next is added.
local function entry_at(tier, rank)
  local entry = redis.call('ZRANGE', tier.key, rank, rank, 'WITHSCORES')
  return tonumber(entry[2] or 0)
end

local function read_log(tier, cost)
  tier.count = redis.call('ZCOUNT', tier.key, '(' .. whole(now - tier.window), '+inf')
  tier.at = tier.count > 0 and entry_at(tier, -1) or 0
  local next_to_go = math.min(math.max(tier.count + cost - tier.limit, 1), tier.count)
  tier.before = tier.count > 0 and entry_at(tier, next_to_go - 1 - tier.count) or 0
end

local function add_to_log(tier, cost)
  redis.call('ZREMRANGEBYSCORE', tier.key, '-inf', whole(now - tier.window))
  local at = whole(math.max(now, tier.at))
  for unit = 1, cost do
    redis.call('ZADD', tier.key, at, request .. ':' .. unit)
  end
  read_log(tier, 0)
  redis.call('PEXPIRE', tier.key, lifetime(tier))
end

local function take_from_log(tier, cost)
  for unit = 1, cost do
    redis.call('ZREM', tier.key, request .. ':' .. unit)
  end
end

local function read(tier, cost)
  if tier.algorithm == 'log' then
    read_log(tier, cost)
    return true
  end
  local kept = redis.call('GET', tier.key)
  tier.at, tier.count, tier.before = 0, 0, 0
  if kept then
    tier.at, tier.count, tier.before = struct.unpack('>I8I8I8', kept)
  end
  advance[tier.algorithm](tier)
  return kept
end

local function write(tier)
  local numbers = struct.pack('>I8I8I8', tier.at, tier.count, tier.before)
  redis.call('SET', tier.key, numbers, 'PX', lifetime(tier))
end

local function parse_tier(key)
  local tier = {key = key, algorithm = word(), limit = number()}
  if tier.algorithm == 'bucket' then
    tier.full_us, tier.full_part = number(), number()
    tier.need_us, tier.need_part = number(), number()
    tier.want_us, tier.want_part = number(), number()
  else
    tier.window = number()
  end
  if mode == 'back' then
    tier.mark_at, tier.mark_part = number(), number()
  end
  return tier
end

local function give_back(tier, cost)
  if tier.algorithm == 'log' then
    take_from_log(tier, cost)
  elseif read(tier, cost) then
    back[tier.algorithm](tier, cost)
    write(tier)
  end
end

-- First look at all.
local requested, key, allowed = {}, 0, true
for c = 1, charges do
  local charge = {tiers = {}, count = number(), shadow = word() == '1', need = number(), want = number()}
  charge.fits, charge.wants = true, charge.want > charge.need
  for t = 1, charge.count do
    key = key + 1
    local tier = parse_tier(KEYS[key])
    charge.tiers[t] = tier
    if mode == 'back' then
      give_back(tier, charge.need)
    else
      read(tier, charge.need)
      local fit = fits[tier.algorithm]
      charge.fits = charge.fits and fit(tier, charge.need, tier.need_us, tier.need_part)
      charge.wants = charge.wants and fit(tier, charge.want, tier.want_us, tier.want_part)
    end
  end
  allowed = allowed and (charge.fits or charge.shadow)
  requested[c] = charge
end
if mode == 'back' then
  return {now}
end

-- Then take from all, or from none.
local answer = {now}
for _, charge in ipairs(requested) do
  local taken = charge.wants and charge.want or charge.need
  answer[#answer + 1] = charge.fits and (charge.wants and 2 or 1) or 0
  for _, tier in ipairs(charge.tiers) do
    if mode == 'take' and allowed and charge.fits then
      if tier.algorithm == 'log' then
        add_to_log(tier, taken)
      else
        local us = charge.wants and tier.want_us or tier.need_us
        local part = charge.wants and tier.want_part or tier.need_part
        take[tier.algorithm](tier, taken, us, part)
        write(tier)
      end
    end
    answer[#answer + 1] = tier.at
    answer[#answer + 1] = tier.count
    answer[#answer + 1] = tier.before
  end
end
return answer
