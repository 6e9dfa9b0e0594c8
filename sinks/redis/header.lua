#!lua
-- Sets a table's header to columns and no rows, if it is as it was read.
-- KEYS: header. ARGV: columns, columns held, number of rows held (both "" where there is none). Returns 1 when it was set.
local held = redis.call('HMGET', KEYS[1], 'columns', 'rows')
if (held[1] or '') ~= ARGV[2] or (held[2] or '') ~= ARGV[3] then
  return 0
end
redis.call('HSET', KEYS[1], 'columns', ARGV[1], 'rows', '0')
return 1
