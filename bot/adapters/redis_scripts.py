"""The Lua scripts. Each is one atomic step of the protocol; ARGV[1] is always the key prefix.

Keys below the prefix:
    j:<job>             LIST    the journal's records
    q:<lane>:<scope>    LIST    job (or query) ids, in order
    ready:<lane>        ZSET    scopes that may be claimed, by the time they became ready
    lease:<lane>        ZSET    scope -> end of the lease, ms
    owner:<lane>        HASH    scope -> "token owner job run_id"
    token:<lane>        HASH    scope -> last token
    hold                HASH    cluster -> job
    deadline open ended ZSET    job -> seconds
    out:<attempt>       STRING  the end of a command's output; out:<attempt>:length is the length of all of it
    changed             ZSET    job or query -> change number (counter: `changes`)
    wake:<lane> wake:outbox     LIST  hints for idle waiters
    run                 HASH    id: run_id of the Redis process, since: when it was first seen, ms
"""

from typing import Final

_COMMON: Final = """
local p = ARGV[1]
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
local function barrier(ms)
  local seen = redis.call('HMGET', p..'run', 'id', 'since')
  if not seen[1] then redis.call('HSET', p..'run', 'id', run, 'since', 0) return end
  if seen[1] ~= run then redis.call('HSET', p..'run', 'id', run, 'since', now) seen[2] = now end
  if now - tonumber(seen[2]) < ms then return true end
end
local function wake(what)
  local list = p..'wake:'..what
  if redis.call('LLEN', list) < 8 then redis.call('RPUSH', list, '1') end
end
local function changed(id)
  redis.call('ZADD', p..'changed', redis.call('INCR', p..'changes'), id)
  wake('outbox')
end
local function settle(lane, scope)
  local ready = redis.call('LLEN', p..'q:'..lane..':'..scope) > 0
    and not redis.call('ZSCORE', p..'lease:'..lane, scope)
    and not (lane == 'run' and redis.call('HEXISTS', p..'hold', scope) == 1)
  if ready then
    redis.call('ZADD', p..'ready:'..lane, 'NX', now, scope)
    wake(lane)
  else
    redis.call('ZREM', p..'ready:'..lane, scope)
  end
end
local function mine(lane, scope, token, owner)
  local who = redis.call('HGET', p..'owner:'..lane, scope)
  if not who then return nil end
  local t, o, job, r = string.match(who, '(%S+) (%S+) (%S+) (%S+)')
  if t == token and o == owner and r == run then return job end
end
"""

# job, after -> length, mac source (last record before `after`), time ms, run_id, records...
READ: Final = (
    _COMMON
    + """
local key, after = p..'j:'..ARGV[2], tonumber(ARGV[3])
local length = redis.call('LLEN', key)
local reply = {length, now, run}
for _, record in ipairs(redis.call('LRANGE', key, after, -1)) do reply[#reply + 1] = record end
return reply
"""
)

# job, expected, previous mac, at ms, run_id, barrier ms, lane, scope, token, owner ('' for people), effects json,
# records...
APPEND: Final = (
    _COMMON
    + """
local job, expected, mac, at = ARGV[2], tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[5])
local want, ms = ARGV[6], tonumber(ARGV[7])
local lane, scope, token, owner, e = ARGV[8], ARGV[9], ARGV[10], ARGV[11], cjson.decode(ARGV[12])
local key = p..'j:'..job
if owner ~= '' and mine(lane, scope, token, owner) ~= job then return {'lease'} end
local length = redis.call('LLEN', key)
if length ~= expected then return {'conflict', length} end
local last = redis.call('LINDEX', key, -1)
if last and string.match(last, '^%S+ (%S+) ') ~= mac then return {'conflict', length} end
if want ~= run then return {'conflict', length} end
if math.abs(now - at) > 5000 then return {'clock', now} end
if barrier(ms) then return redis.error_reply('BARRIER Redis has just been restarted') end
for i = 13, #ARGV do redis.call('RPUSH', key, ARGV[i]) end
local run_queue = p..'q:run:'..e.cluster
if e.push == 'back' then redis.call('RPUSH', run_queue, job) end
if e.push == 'front' then redis.call('LPUSH', run_queue, job) end
if e.gather then redis.call('RPUSH', p..'q:read:'..job, job) end
if e.remove then redis.call('LREM', run_queue, 0, job) redis.call('DEL', p..'q:read:'..job) end
if e.hold == 'set' then redis.call('HSET', p..'hold', e.cluster, job) end
if e.hold == 'clear' then redis.call('HDEL', p..'hold', e.cluster) end
redis.call('ZREM', p..'deadline', job)
if e.deadline > 0 then redis.call('ZADD', p..'deadline', e.deadline, job) end
if e.ended then
  redis.call('ZREM', p..'open', job)
  redis.call('ZADD', p..'ended', now / 1000, job)
else
  redis.call('ZADD', p..'open', 'NX', now / 1000, job)
end
settle('run', e.cluster)
settle('read', job)
changed(job)
return {'ok', length + #ARGV - 12}
"""
)

# lane, owner, lease ms -> scope, token, job, lost ms, run_id; nothing when nothing is ready
CLAIM: Final = (
    _COMMON
    + """
local lane, owner, ms = ARGV[2], ARGV[3], tonumber(ARGV[4])
local leases, owners, ready = p..'lease:'..lane, p..'owner:'..lane, p..'ready:'..lane
if barrier(ms) then return {} end
local scope, job, lost = nil, nil, 0
local dead = redis.call('ZRANGEBYSCORE', leases, '-inf', now, 'WITHSCORES', 'LIMIT', 0, 1)
if dead[1] then
  scope = dead[1]
  lost = math.max(1, now - tonumber(dead[2]))
  job = string.match(redis.call('HGET', owners, scope), '%S+ %S+ (%S+)')
else
  scope = redis.call('ZRANGE', ready, 0, 0)[1]
  if not scope then return {} end
  if redis.call('ZSCORE', leases, scope)
    or (lane == 'run' and redis.call('HEXISTS', p..'hold', scope) == 1) then
    redis.call('ZREM', ready, scope)
    return {}
  end
  job = redis.call('LPOP', p..'q:'..lane..':'..scope)
  if not job then redis.call('ZREM', ready, scope) return {} end
end
local token = math.max(tonumber(redis.call('HGET', p..'token:'..lane, scope) or '0') + 1, now)
redis.call('HSET', p..'token:'..lane, scope, string.format('%.0f', token))
redis.call('ZADD', leases, now + ms, scope)
redis.call('HSET', owners, scope, string.format('%.0f', token)..' '..owner..' '..job..' '..run)
settle(lane, scope)
changed(job)
return {scope, string.format('%.0f', token), job, lost, run}
"""
)

# lane, scope, token, owner, lease ms, floor ('' or a token the new one must be above) -> token, length of the journal
RENEW: Final = (
    _COMMON
    + """
local lane, scope, token, owner, ms, floor = ARGV[2], ARGV[3], ARGV[4], ARGV[5], tonumber(ARGV[6]), ARGV[7]
local job = mine(lane, scope, token, owner)
if not job then return {} end
if floor ~= '' then
  token = string.format('%.0f', math.max(tonumber(token) + 1, tonumber(floor) + 1, now))
  redis.call('HSET', p..'token:'..lane, scope, token)
  redis.call('HSET', p..'owner:'..lane, scope, token..' '..owner..' '..job..' '..run)
end
redis.call('ZADD', p..'lease:'..lane, now + ms, scope)
return {token, redis.call('LLEN', p..'j:'..job)}
"""
)

# lane, scope, token, owner
RELEASE: Final = (
    _COMMON
    + """
local lane, scope = ARGV[2], ARGV[3]
local job = mine(lane, scope, ARGV[4], ARGV[5])
if not job then return {} end
redis.call('ZREM', p..'lease:'..lane, scope)
redis.call('HDEL', p..'owner:'..lane, scope)
if lane == 'read' then redis.call('HDEL', p..'token:'..lane, scope) end
settle(lane, scope)
changed(job)
return {job}
"""
)

# query id, json, seconds to keep -> 1 if it is new
ASK: Final = (
    _COMMON
    + """
local id = ARGV[2]
if not redis.call('SET', p..'query:'..id, ARGV[3], 'NX', 'EX', ARGV[4]) then return {0} end
redis.call('RPUSH', p..'q:read:'..id, id)
settle('read', id)
return {1}
"""
)

# query id, json, scope, token, owner
ANSWER: Final = (
    _COMMON
    + """
local id = ARGV[2]
if not mine('read', ARGV[4], ARGV[5], ARGV[6]) then return {0} end
if redis.call('SET', p..'query:'..id, ARGV[3], 'XX', 'KEEPTTL') then changed(id) end
return {1}
"""
)

# id -> a change notice for something that is no event (progress lines)
TOUCH: Final = _COMMON + "changed(ARGV[2]) return {}"

# attempt, offset, bytes, bytes to keep, seconds to keep them -> length of all output taken so far
OUTPUT: Final = (
    _COMMON
    + """
local key, data, limit = p..'out:'..ARGV[2], ARGV[4], tonumber(ARGV[5])
local length = tonumber(redis.call('GET', key..':length') or 0)
if length ~= tonumber(ARGV[3]) or #data == 0 then return {length} end
if redis.call('APPEND', key, data) > 2 * limit then
  redis.call('SET', key, redis.call('GETRANGE', key, -limit, -1))
end
redis.call('SET', key..':length', length + #data, 'EX', ARGV[6])
redis.call('EXPIRE', key, ARGV[6])
return {length + #data}
"""
)

# id, number: settled unless it changed again
SETTLED: Final = (
    _COMMON
    + """
if redis.call('ZSCORE', p..'changed', ARGV[2]) == ARGV[3] then redis.call('ZREM', p..'changed', ARGV[2]) end
return {}
"""
)

# owner, ms -> 1 if the caller is the reporter now
LEAD: Final = (
    _COMMON
    + """
local key, owner = p..'reporter', ARGV[2]
local who = redis.call('GET', key)
if who and who ~= owner then return {0} end
redis.call('SET', key, owner, 'PX', ARGV[3])
return {1}
"""
)

# method, calls per minute -> ms to wait, 0 if one was taken (a token bucket that holds a tenth of a minute's calls)
TAKE: Final = (
    _COMMON
    + """
local key, rate = p..'budget:'..ARGV[2], tonumber(ARGV[3]) / 60000
local size = math.max(1, rate * 6000)
local was = redis.call('HMGET', key, 'left', 'at')
local left = math.min(size, (tonumber(was[1]) or size) + (now - (tonumber(was[2]) or now)) * rate)
local wait = 0
if left >= 1 then left = left - 1 else wait = math.ceil((1 - left) / rate) end
redis.call('HSET', key, 'left', left, 'at', now)
redis.call('PEXPIRE', key, 120000)
return {wait}
"""
)
