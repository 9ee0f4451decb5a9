-- A ledger's one script: each request is one atomic step over all of its tallies.
--
-- KEYS[1]  leases: a sorted set, keys of open reservations by the moment their lease ends
-- KEYS[2]  the reservation that is asked about (for "tally" and "renew": the leases again)
-- KEYS[3..] the tallies: hashes with settled, uncertain, reserved, limit, born
-- ARGV     what is asked, lease in ms, life of a tally in ms ("" for ever), then what belongs to the question
--
-- Money is added by HINCRBY alone, which is exact to 64 bits, and is passed on as text. A number of Lua's is a double,
-- exact to 2^53: it is only compared, and what is larger than that fits no cap, for no cap is larger.
-- The keys that a sweep touches are not known beforehand. They lie in the hash slot of those that are.

local EXACT = 9007199254740991
local SETTLED_MS = 60000     -- how long an id that was settled is known, to tell who asks twice
local LAPSED_MS = 2592000000 -- how long a settlement may be late: 30 days
local SWEEP = 100            -- how many reservations one request tidies up at most

local leases, reservation = KEYS[1], KEYS[2]
local question, lease_ms, life_ms = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local moment = clock[1] .. '.' .. clock[2]

local function add(tally, field, amount)
  if amount ~= '0' then
    redis.call('HINCRBY', tally, field, amount)
  end
end

local function negative(amount)
  if amount == '0' then return '0' end
  if string.sub(amount, 1, 1) == '-' then return string.sub(amount, 2) end
  return '-' .. amount
end

-- When this tally began: one of the same name that began later is another, and owes nothing to what the first held.
local function born(tally)
  local at = redis.call('HGET', tally, 'born')
  if not at then
    at = moment
    redis.call('HSET', tally, 'born', at)
    if life_ms ~= '' then redis.call('PEXPIRE', tally, life_ms) end
  end
  return at
end

local function read(id)
  local text = redis.call('GET', id)
  if not text then return nil end
  return cjson.decode(text) -- state, nanos, tallies, when they began
end

local function write(id, one, ms)
  redis.call('SET', id, cjson.encode(one))
  if ms then redis.call('PEXPIRE', id, ms) end
end

local function take_back(one, field)
  for i, tally in ipairs(one.tallies) do
    if redis.call('HGET', tally, 'born') == one.born[i] then add(tally, field, negative(one.nanos)) end
  end
end

local function sweep()
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', leases, '-inf', now, 'LIMIT', 0, SWEEP)) do
    local one = read(id)
    if one and one.state == 'held' then
      take_back(one, 'reserved')
      for i, tally in ipairs(one.tallies) do
        if redis.call('HGET', tally, 'born') == one.born[i] then add(tally, 'uncertain', one.nanos) end
      end
      one.state = 'lapsed'
      write(id, one, LAPSED_MS)
    end
    redis.call('ZREM', leases, id)
  end
end

local function sums(tally)
  local found = redis.call('HMGET', tally, 'settled', 'uncertain', 'reserved')
  return { found[1] or '0', found[2] or '0', found[3] or '0' }
end

local function passes(limit, amounts, nanos)
  local total = tonumber(nanos)
  for _, amount in ipairs(amounts) do
    local number = tonumber(amount)
    if number > EXACT or number < -EXACT then return true end
    total = total + number
  end
  return total > tonumber(limit)
end

local function answer()
  local told = { 'ok' }
  for i = 3, #KEYS do
    for _, amount in ipairs(sums(KEYS[i])) do told[#told + 1] = amount end
  end
  return told
end

local ask = {}

-- ARGV[4]: the limit, or "none"
function ask.tally()
  local limit = redis.call('HGET', KEYS[3], 'limit')
  if limit and limit ~= ARGV[4] then return { 'limit', limit } end
  born(KEYS[3])
  if not limit then redis.call('HSET', KEYS[3], 'limit', ARGV[4]) end
  return answer()
end

-- ARGV[4]: the amount; ARGV[5..]: the limits for this hold, "none" for none
function ask.hold()
  if read(reservation) then return answer() end
  local nanos = ARGV[4]
  for i = 3, #KEYS do
    local limit = ARGV[i + 2]
    local amounts = limit ~= 'none' and sums(KEYS[i])
    if amounts and passes(limit, amounts, nanos) then
      return { 'refused', tostring(i - 3), amounts[1], amounts[2], amounts[3] }
    end
  end
  local one = { state = 'held', nanos = nanos, tallies = {}, born = {} }
  for i = 3, #KEYS do
    one.tallies[i - 2] = KEYS[i]
    one.born[i - 2] = born(KEYS[i])
    add(KEYS[i], 'reserved', nanos)
  end
  write(reservation, one)
  redis.call('ZADD', leases, now + lease_ms, reservation)
  return answer()
end

-- ARGV[4]: what it cost; ARGV[5]: what it may have cost besides
function ask.settle()
  local one = read(reservation) or { state = 'unknown', nanos = '0', tallies = { unpack(KEYS, 3) } }
  if one.state ~= 'settled' then
    if one.state == 'held' then take_back(one, 'reserved') end
    if one.state == 'lapsed' then take_back(one, 'uncertain') end
    for _, tally in ipairs(one.tallies) do
      born(tally)
      add(tally, 'settled', ARGV[4])
      add(tally, 'uncertain', ARGV[5])
    end
    write(reservation, { state = 'settled' }, SETTLED_MS)
    redis.call('ZREM', leases, reservation)
  end
  return answer()
end

-- KEYS[3..]: the reservations
function ask.renew()
  for i = 3, #KEYS do
    redis.call('ZADD', leases, 'XX', now + lease_ms, KEYS[i])
  end
  return { 'ok' }
end

if question ~= 'renew' then sweep() end
return ask[question]()
