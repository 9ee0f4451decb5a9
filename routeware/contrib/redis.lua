-- A ledger's one script. It answers a list of questions, in their order; each is one step over all of its tallies.
--
-- KEYS[1]   leases: a sorted set, keys of open reservations by the moment their lease ends
-- KEYS[2..] what the questions point to. Reservations are strings, tallies are hashes with settled, uncertain, reserved,
--           limit, replaced, born and releases, histories are lists.
-- ARGV      lease in ms; life of a tally in ms ("" for ever); how long in ms a settled id is known, and how long one
--           that was acknowledged; the questions as JSON: [[what, [places in KEYS], arguments ...], ...]
-- Returns JSON, one answer for each question. Text, because a reply of many small strings takes the client far longer.
--
-- A question reads and checks all that it needs before it writes anything: Redis does not undo what a script wrote
-- before it failed, and money in one of two tallies is worse than none. Questions fail alone: those before and after
-- are other callers'.
--
-- Money is added by HINCRBY alone, which is exact to 64 bits, and is passed on as text. A number of Lua's is a double,
-- exact to 2^53: it is only compared, and what is larger than that fits no cap, for no cap is larger.
-- The keys that a sweep touches are not known beforehand. They lie in the hash slot of those that are.

local EXACT = 9007199254740991
local FITS = 9.2e18          -- a little below 2^63, where HINCRBY fails
local LAPSED_MS = 2592000000 -- how long a settlement may be late: 30 days
local SWEEP = 100            -- how many reservations one request tidies up at most
local HISTORY = 100          -- how many changes of a tally are kept

local leases = KEYS[1]
local lease_ms, life_ms, known_ms, acknowledged_ms = tonumber(ARGV[1]), ARGV[2], ARGV[3], ARGV[4]
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local moment = clock[1] .. '.' .. string.format('%06d', clock[2])

local function negative(amount)
  if amount == '0' then return '0' end
  if string.sub(amount, 1, 1) == '-' then return string.sub(amount, 2) end
  return '-' .. amount
end

local function fail(problem)
  error({ err = problem })
end

-- Everything there is to know of a tally; an error where its key holds something else.
local function look(key)
  local found = redis.call('HMGET', key, 'settled', 'uncertain', 'reserved', 'limit', 'replaced', 'born', 'releases')
  local tally = { key = key, limit = found[4], replaced = found[5], born = found[6], releases = found[7] or '0' }
  for i, field in ipairs({ 'settled', 'uncertain', 'reserved' }) do
    local amount = found[i] or '0'
    if not string.find(amount, '^%-?%d+$') then fail(key .. ' holds no whole number as ' .. field) end
    tally[field] = amount
  end
  return tally
end

local function look_at_all(keys, from)
  local tallies = {}
  for i = from, #keys do tallies[#tallies + 1] = look(keys[i]) end
  return tallies
end

local function must_fit(tally, field, amount)
  if math.abs(tonumber(tally[field]) + tonumber(amount)) >= FITS then
    fail('FULL ' .. tally.key .. ' has no room for ' .. amount .. ' as ' .. field)
  end
end

local function add(tally, field, amount)
  if amount ~= '0' then
    redis.call('HINCRBY', tally.key, field, amount)
  end
end

-- When this tally began: one of the same name that began later is another, and owes nothing to what the first held.
local function begin(tally)
  if not tally.born then
    tally.born = moment
    redis.call('HSET', tally.key, 'born', moment)
    if life_ms ~= '' then redis.call('PEXPIRE', tally.key, life_ms) end
  end
  return tally.born
end

local function read(id)
  local text = redis.call('GET', id)
  if not text then return nil end
  return cjson.decode(text) -- state, nanos, tallies, when they began; once lapsed, how often they had been released
end

local function write(id, one, ms)
  if ms then
    redis.call('SET', id, cjson.encode(one), 'PX', ms)
  else
    redis.call('SET', id, cjson.encode(one))
  end
end

local function lapse(id)
  local one = read(id)
  if not one or one.state ~= 'held' then return end
  local tallies = look_at_all(one.tallies, 1)
  one.state, one.releases = 'lapsed', {}
  for i, tally in ipairs(tallies) do
    one.releases[i] = tally.releases
    if tally.born == one.born[i] then must_fit(tally, 'uncertain', one.nanos) end
  end
  for i, tally in ipairs(tallies) do
    if tally.born == one.born[i] then
      add(tally, 'reserved', negative(one.nanos))
      add(tally, 'uncertain', one.nanos)
    end
  end
  write(id, one, LAPSED_MS)
end

local function sweep()
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', leases, '-inf', now, 'LIMIT', 0, SWEEP)) do
    -- One that cannot be read has nothing to give back. Left in the set, it would fail every question from now on.
    pcall(lapse, id)
    redis.call('ZREM', leases, id)
  end
end

local function passes(limit, tally, nanos)
  if not limit or limit == 'none' then return false end
  local total = tonumber(nanos)
  for _, field in ipairs({ 'settled', 'uncertain', 'reserved' }) do
    local number = tonumber(tally[field])
    if number > EXACT or number < -EXACT then return true end
    total = total + number
  end
  return total > tonumber(limit)
end

local function answer(keys, from)
  local told = { 'ok' }
  for i = from, #keys do
    local found = redis.call('HMGET', keys[i], 'settled', 'uncertain', 'reserved')
    for field = 1, 3 do told[#told + 1] = found[field] or '0' end
  end
  return told
end

local function note(tally, history, event, before, after)
  redis.call('RPUSH', history, cjson.encode({ moment, event, before, after }))
  redis.call('LTRIM', history, -HISTORY, -1)
  local life = redis.call('PTTL', tally.key)
  if life > 0 then redis.call('PEXPIRE', history, life) end
end

local ask = {}

-- keys: the tally. Arguments: the limit, or "none"
function ask.tally(keys, limit)
  local tally = look(keys[1])
  if tally.limit and tally.limit ~= limit then return { 'limit', tally.limit } end
  begin(tally)
  if not tally.limit then redis.call('HSET', tally.key, 'limit', limit) end
  return answer(keys, 1)
end

-- keys: the reservation, the tallies. Arguments: the amount, and for each tally the limit and the cap of this hold,
-- "none" for none. The limit is that of its session, or the cap where that is lower; once a limit was replaced, sessions
-- that are open bring the old one, and only the cap counts.
function ask.hold(keys, nanos, ...)
  local bounds, tallies = { ... }, look_at_all(keys, 2)
  if read(keys[1]) then return answer(keys, 2) end
  for i, tally in ipairs(tallies) do
    for _, limit in ipairs({ tally.limit or 'none', tally.replaced and bounds[2 * i] or bounds[2 * i - 1] }) do
      if passes(limit, tally, nanos) then
        return { 'refused', tostring(i - 1), limit, tally.settled, tally.uncertain, tally.reserved }
      end
    end
    must_fit(tally, 'reserved', nanos)
  end
  local one = { state = 'held', nanos = nanos, tallies = {}, born = {} }
  for i, tally in ipairs(tallies) do
    one.tallies[i], one.born[i] = tally.key, begin(tally)
    add(tally, 'reserved', nanos)
  end
  write(keys[1], one)
  redis.call('ZADD', leases, now + lease_ms, keys[1])
  return answer(keys, 2)
end

-- What one tally has to give up of a reservation: as reserved, as uncertain.
local function given_up(one, i, tally)
  if one.state == 'held' and tally.born == one.born[i] then return one.nanos, '0' end
  if one.state == 'lapsed' and tally.born == one.born[i] and tally.releases == one.releases[i] then
    return '0', one.nanos
  end
  return '0', '0'
end

-- keys: the reservation, the tallies. Arguments: what it cost, what it may have cost besides
function ask.settle(keys, settled, uncertain)
  look_at_all(keys, 2)
  local one = read(keys[1]) or { state = 'unknown', nanos = '0', tallies = { unpack(keys, 2) } }
  if one.state == 'settled' then return answer(keys, 2) end
  local tallies, reserved, lapsed = look_at_all(one.tallies, 1), {}, {}
  for i, tally in ipairs(tallies) do
    reserved[i], lapsed[i] = given_up(one, i, tally)
    must_fit(tally, 'settled', settled)
    must_fit(tally, 'uncertain', uncertain)
  end
  for i, tally in ipairs(tallies) do
    begin(tally)
    add(tally, 'reserved', negative(reserved[i]))
    add(tally, 'settled', settled)
    add(tally, 'uncertain', negative(lapsed[i]))
    add(tally, 'uncertain', uncertain)
    -- A correction of money that was released since: it is not there to be taken off again.
    local left = tally.releases ~= '0' and redis.call('HGET', tally.key, 'uncertain')
    if left and tonumber(left) < 0 then add(tally, 'uncertain', negative(left)) end
  end
  write(keys[1], { state = 'settled' }, known_ms)
  redis.call('ZREM', leases, keys[1])
  return answer(keys, 2)
end

-- keys: settled reservations whose clients have the answer, and will not ask again
function ask.forget(keys)
  for _, id in ipairs(keys) do
    local one = read(id)
    if one and one.state == 'settled' then redis.call('PEXPIRE', id, acknowledged_ms) end
  end
  return { 'ok' }
end

-- keys: reservations
function ask.renew(keys)
  for _, id in ipairs(keys) do
    redis.call('ZADD', leases, 'XX', now + lease_ms, id)
  end
  return { 'ok' }
end

-- keys: the tally, its history. Arguments: the limit, or "none"
function ask.limit(keys, limit)
  local tally = look(keys[1])
  redis.call('LLEN', keys[2])
  begin(tally)
  redis.call('HSET', tally.key, 'replaced', '1')
  if tally.limit ~= limit then
    redis.call('HSET', tally.key, 'limit', limit)
    if tally.limit then note(tally, keys[2], 'limit', tally.limit, limit) end
  end
  return answer({ keys[1] }, 1)
end

-- keys: the tally, its history
function ask.release(keys)
  local tally = look(keys[1])
  redis.call('LLEN', keys[2])
  if tonumber(tally.uncertain) > 0 then
    add(tally, 'uncertain', negative(tally.uncertain))
    redis.call('HINCRBY', tally.key, 'releases', 1)
    note(tally, keys[2], 'release', tally.uncertain, '0')
  end
  return answer({ keys[1] }, 1)
end

-- keys: tallies. Those that are there, with their places among the keys
function ask.kept(keys)
  local told = { 'ok' }
  for i, key in ipairs(keys) do
    local tally = look(key)
    if tally.born then
      for _, text in ipairs({ tostring(i - 1), tally.limit or '', tally.settled, tally.uncertain, tally.reserved }) do
        told[#told + 1] = text
      end
    end
  end
  return told
end

-- keys: a history
function ask.history(keys)
  return { 'ok', unpack(redis.call('LRANGE', keys[1], 0, -1)) }
end

-- keys: a reservation, a tally, a history that need not be there. The commands that this user may not use: a script
-- that is stopped by the server in the middle leaves half of its changes behind, so it must not begin.
function ask.check(keys)
  local id, tally, history = unpack(keys)
  local told, used = { 'ok' }, {
    { 'GET', id }, { 'SET', id, '', 'PX', '1' }, { 'PEXPIRE', id, '1' },
    { 'HMGET', tally, 'born' }, { 'HGET', tally, 'born' }, { 'HSET', tally, 'born', '' },
    { 'HINCRBY', tally, 'settled', '1' }, { 'PEXPIRE', tally, '1' }, { 'PTTL', tally },
    { 'ZADD', leases, '1', id }, { 'ZREM', leases, id },
    { 'ZRANGEBYSCORE', leases, '-inf', '1', 'LIMIT', '0', '1' },
    { 'LLEN', history }, { 'LRANGE', history, '0', '1' }, { 'LTRIM', history, '0', '1' }, { 'RPUSH', history, '' },
    { 'PEXPIRE', history, '1' },
  }
  -- Older servers cannot say.
  for _, command in ipairs(redis.acl_check_cmd and used or {}) do
    if not redis.acl_check_cmd(unpack(command)) then told[#told + 1] = command[1] .. ' ' .. command[2] end
  end
  return told
end

local function run(question)
  local keys = {}
  for i, place in ipairs(question[2]) do keys[i] = KEYS[place] end
  return ask[question[1]](keys, unpack(question, 3))
end

local function problem(raised)
  local text = type(raised) == 'table' and raised.err or tostring(raised)
  return { string.sub(text, 1, 5) == 'FULL ' and 'full' or 'failed', text }
end

-- These come before the sweep: a lease that is renewed in time must not end on the way.
local FIRST = { check = true, renew = true, forget = true }

local answers, swept = {}, false
for i, question in ipairs(cjson.decode(ARGV[5])) do
  local done, told = pcall(function()
    if not swept and not FIRST[question[1]] then
      sweep()
      swept = true
    end
    return run(question)
  end)
  answers[i] = done and told or problem(told)
  if question[1] == 'check' and (not done or told[2]) then break end
end
return cjson.encode(answers)
