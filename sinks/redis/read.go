package redis

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/rueidis"

	"github.com/freshet-dev/freshet/sinks/guard"
	"github.com/freshet-dev/freshet/stream"
)

// Keys that the server looks at in one step of a walk, and rows that are read in one request.
const (
	walkStep = 1000
	rowPage  = 64
)

// errEnough ends a walk before its end.
var errEnough = errors.New("that is enough")

// walk goes through the names of a table's hashes, from a cursor until each fails or all were seen: those that are there all the time, some twice.
// each also gets the cursor by which the same names are met again.
func (s *store) walk(ctx context.Context, t *table, from uint64, each func(at uint64, names []string) error) error {
	for at := from; ; {
		page, err := s.do(ctx, s.client.B().Scan().Cursor(at).Match(pattern(t.rows)).Count(walkStep).Type("hash").Build()).AsScanEntry()
		if err != nil {
			return s.classed("walk through the keys", err)
		}
		if len(page.Elements) > 0 {
			if err := each(at, page.Elements); err != nil {
				if errors.Is(err, errEnough) {
					err = nil
				}
				return err
			}
		}
		if at = page.Cursor; at == 0 {
			return nil
		}
	}
}

// walked is a table and a range that Scan goes through.
type walked struct {
	table string
	in    guard.Range
}

// Scan looks rows of a range up. The rows found are about to leave the range, so the next Scan of it goes on where this one ended; only one that has
// seen all keys finds nothing. See guard.Rows.
func (s *store) Scan(ctx context.Context, name string, in guard.Range, limit int) ([]guard.Held, error) {
	t, err := s.table(name)
	if err != nil {
		return nil, err
	}
	from := s.left(walked{name, in}, 0)
	found, at, err := s.scan(ctx, t, in, limit, from)
	if err == nil && len(found) == 0 && from > 0 {
		found, at, err = s.scan(ctx, t, in, limit, 0)
	}
	s.left(walked{name, in}, at)
	return found, err
}

// left remembers where a walk goes on, 0 for the beginning, and returns where it did before.
func (s *store) left(w walked, at uint64) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.walks[w]
	delete(s.walks, w)
	if at > 0 {
		s.walks[w] = at
	}
	return before
}

func (s *store) scan(ctx context.Context, t *table, in guard.Range, limit int, from uint64) (found []guard.Held, at uint64, err error) {
	err = s.walk(ctx, t, from, func(cursor uint64, names []string) error {
		rows, err := s.inRange(ctx, t, in, names)
		if found = append(found, rows...); err == nil && len(found) >= limit {
			found, at, err = found[:limit], cursor, errEnough
		}
		return err
	})
	return found, at, err
}

// inRange returns those rows that lie in a range. A hash that does not say its version and partition is nobody's.
func (s *store) inRange(ctx context.Context, t *table, in guard.Range, names []string) (found []guard.Held, err error) {
	asked := make(rueidis.Commands, len(names))
	for n, name := range names {
		asked[n] = s.client.B().Hmget().Key(name).Field(versionField, epochField, partitionField).Build()
	}
	answers, err := s.doAll(ctx, asked)
	if err != nil {
		return nil, err
	}
	for n, answer := range answers {
		fields, err := answer.AsStrSlice()
		if err != nil {
			return nil, s.classed("read a row's version", err)
		}
		document, key, ok := identityOf(strings.TrimPrefix(names[n], t.rows))
		held, is := guardOf(fields)
		if ok && is && in.Has(held) {
			found = append(found, guard.Held{RowID: stream.RowID{Table: t.As, Document: document, Key: key}, Version: held.Version})
		}
	}
	return found, nil
}

func guardOf(fields []string) (held guard.Item, ok bool) {
	var numbers [3]int64
	for n, text := range fields {
		var err error
		if numbers[n], err = strconv.ParseInt(text, 10, 64); err != nil {
			return held, false
		}
	}
	held.Version, held.Epoch, held.Partition = stream.Unpack(numbers[0]), numbers[1], int32(numbers[2])
	return held, true
}

// doAll asks in one go, within the limit of a request.
func (s *store) doAll(ctx context.Context, asked rueidis.Commands) ([]rueidis.RedisResult, error) {
	ctx, cancel := context.WithTimeout(ctx, requestLimit)
	defer cancel()
	answers := s.client.DoMulti(ctx, asked...)
	for _, answer := range answers {
		if err := answer.NonRedisError(); err != nil {
			return nil, s.classed("read rows", err)
		}
	}
	return answers, nil
}

// identity is a hash with what it is ordered by.
type identity struct {
	name          string
	document, key string
}

// Read reads a table, in order of (document, key): the names of all rows first, which it keeps in memory, then rows page by page. A row that is deleted
// meanwhile is left out, one that is new is not seen. A name that no row can have counts as a document's ID. See guard.Reader.
func (s *store) Read(ctx context.Context, name string, each func(guard.Item) error) error {
	t, err := s.table(name)
	if err != nil {
		return err
	}
	var all []identity
	err = s.walk(ctx, t, 0, func(_ uint64, names []string) error {
		for _, name := range names {
			id := strings.TrimPrefix(name, t.rows)
			document, key, ok := identityOf(id)
			if !ok {
				document, key = id, ""
			}
			all = append(all, identity{name, document, key})
		}
		return nil
	})
	if err != nil {
		return err
	}
	slices.SortFunc(all, func(a, b identity) int {
		return cmp.Or(cmp.Compare(a.document, b.document), cmp.Compare(a.key, b.key), cmp.Compare(a.name, b.name))
	})
	for page := range slices.Chunk(slices.Compact(all), rowPage) {
		if err := s.readPage(ctx, t, page, each); err != nil {
			return err
		}
	}
	return nil
}

func (s *store) readPage(ctx context.Context, t *table, page []identity, each func(guard.Item) error) error {
	asked := make(rueidis.Commands, len(page))
	for n, i := range page {
		asked[n] = s.client.B().Hgetall().Key(i.name).Build()
	}
	answers, err := s.doAll(ctx, asked)
	if err != nil {
		return err
	}
	for n, i := range page {
		held, err := answers[n].AsStrMap()
		if err != nil {
			return s.classed("read rows", err)
		}
		if len(held) == 0 {
			continue
		}
		if err := each(t.row(i.document, i.key, held)); err != nil {
			return err
		}
	}
	return nil
}
