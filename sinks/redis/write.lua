#!lua
-- Writes rows of one table, each if it wins over what is held under its ID.
-- KEYS: header, bookkeeping, tombstones, tombstones by time, then the hash of each row.
-- ARGV: key and sequence of the partition's place, then for each row: ID, version, over, bound, epoch, partition, time, and the number of fields
-- and values (0: a delete) with these.
-- Returns how many rows were taken; -1 when the place has moved on, -2 while the table is made anew, -3 when it is gone.
local header, books, gone, times = KEYS[1], KEYS[2], KEYS[3], KEYS[4]

local place = redis.call('HGET', books, ARGV[1])
if not place or string.match(place, '^%d+') ~= ARGV[2] then
  return -1
end
local columns = redis.call('HGET', header, 'columns')
if not columns then
  return -3
elseif columns == '' then
  return -2
end

-- Versions and epochs stay below 2^53, so numbers hold them exactly.
local function wins(version, epoch, over, bound, mine)
  return not version or version < over or (version <= bound and epoch <= mine)
end

local taken, added, at = 0, 0, 3
for n = 5, #KEYS do
  local row, id, fields = KEYS[n], ARGV[at], tonumber(ARGV[at + 7])
  local over, bound, epoch = tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4])
  local exists = redis.call('EXISTS', row)
  local held = redis.call('HMGET', row, '_version', '_epoch')
  local tombstone = redis.call('HGET', gone, id)
  -- Where somebody copied a row by hand, it may stand beside its tombstone.
  local over_row, over_tombstone = wins(tonumber(held[1] or ''), tonumber(held[2] or '') or 0, over, bound, epoch), true
  if tombstone then
    local version, by = string.match(tombstone, '^(%d+) (%d+) ')
    over_tombstone = wins(tonumber(version), tonumber(by), over, bound, epoch)
  end
  if over_row and (over_tombstone or fields == 0) and exists == 1 then
    redis.call('DEL', row)
    added = added - 1
  end
  if over_row and over_tombstone then
    taken = taken + 1
    if fields == 0 then
      redis.call('HSET', gone, id, ARGV[at + 1] .. ' ' .. ARGV[at + 4] .. ' ' .. ARGV[at + 5])
      redis.call('ZADD', times, ARGV[at + 6], id)
    else
      if tombstone then
        redis.call('HDEL', gone, id)
        redis.call('ZREM', times, id)
      end
      for from = at + 8, at + 7 + fields, 1000 do
        redis.call('HSET', row, unpack(ARGV, from, math.min(from + 999, at + 7 + fields)))
      end
      added = added + 1
    end
  end
  at = at + 8 + fields
end
if added ~= 0 then
  redis.call('HINCRBY', header, 'rows', added)
end
return taken
