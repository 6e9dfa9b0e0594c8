#!lua
-- Removes tombstones that are still as they were read.
-- KEYS: tombstones, tombstones by time. ARGV: ID and content of each. Returns how many were removed.
local removed = 0
for n = 1, #ARGV, 2 do
  if redis.call('HGET', KEYS[1], ARGV[n]) == ARGV[n + 1] then
    redis.call('HDEL', KEYS[1], ARGV[n])
    redis.call('ZREM', KEYS[2], ARGV[n])
    removed = removed + 1
  end
end
return removed
