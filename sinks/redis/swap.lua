#!lua
-- Replaces a piece of bookkeeping if its sequence is the one held.
-- KEYS: bookkeeping. ARGV: key, sequence held (0: none), new sequence, body. Returns 1 when it was replaced.
local held = redis.call('HGET', KEYS[1], ARGV[1])
if (held and string.match(held, '^%d+') or '0') ~= ARGV[2] then
  return 0
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3] .. ' ' .. ARGV[4])
return 1
