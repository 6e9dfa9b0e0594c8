package feast

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/freshet-dev/freshet/sinks/guard"
	"github.com/freshet-dev/freshet/stream"
)

// entry is what a page says of a row: its state, and the event timestamp that its features were given last.
type entry struct {
	Document  string          `json:"d"`
	Key       string          `json:"k,omitempty"`
	Version   int64           `json:"v"`
	Epoch     int64           `json:"e"`
	Partition int32           `json:"p,omitempty"`
	Deleted   int64           `json:"x,omitempty"` // when, in milliseconds; 0 for a row that is there
	At        int64           `json:"t"`
	Entity    json.RawMessage `json:"i,omitempty"` // the join key, where it is not made of document and key
	Former    []former        `json:"f,omitempty"` // join keys that it had before, until they are known to be empty
}

// former is a join key that a row had, and the event timestamp that it was given under it.
type former struct {
	Entity json.RawMessage `json:"i"`
	At     int64           `json:"t"`
}

// held is the entry as guard compares it.
func (e entry) held() guard.Item {
	i := guard.Item{Partition: e.Partition, Epoch: e.Epoch}
	i.Version = stream.Unpack(e.Version)
	return i
}

func (e entry) is(i guard.Item) bool { return e.Document == i.Document && e.Key == i.Key }

// entity is the row's join key; nil for a row that was deleted before it was known.
func (t *table) entityOf(e entry) json.RawMessage {
	if t.entity < 0 {
		return quoted(rowID(e.Document, e.Key))
	}
	return e.Entity
}

// pageOf names the page of a document's rows.
func (t *table) pageOf(document string) string { return t.pageAt(shard(document, t.pages)) }

func (t *table) pageAt(n int) string { return fmt.Sprintf("rows/%s/%d", t.As, n) }

func entriesOf(name, body string) (entries []entry, err error) {
	if body != "" {
		if err := json.Unmarshal([]byte(body), &entries); err != nil {
			return nil, damaged(name, err)
		}
	}
	return entries, nil
}

// pagesInWalk is how many pages one step of a walk reads.
const pagesInWalk = 128

// errEnough ends a walk.
var errEnough = errors.New("that is enough")

// walk goes through the pages of a table from one on, until each fails or all were seen.
func (s *store) walk(ctx context.Context, doing string, t *table, from int, each func(n int, entries []entry) error) error {
	for from < t.pages {
		var names []string
		for n := from; n < min(from+pagesInWalk, t.pages); n++ {
			names = append(names, t.pageAt(n))
		}
		pages, err := s.pagesNamed(ctx, doing, names)
		if err != nil {
			return err
		}
		for n, p := range pages {
			entries, err := entriesOf(p.name, p.body)
			if err == nil && len(entries) > 0 {
				err = each(from+n, entries)
			}
			if err != nil {
				return err
			}
		}
		from += len(pages)
	}
	return nil
}

// walked is a table and a range that Scan goes through.
type walked struct {
	table string
	in    guard.Range
}

// Scan looks rows of a range up. The rows found are about to leave the range, so the next Scan of it goes on where this one ended; only one that has
// seen all pages finds nothing. See guard.Rows.
func (s *store) Scan(ctx context.Context, name string, in guard.Range, limit int) (found []guard.Held, err error) {
	t, err := s.table(name)
	if err != nil {
		return nil, err
	}
	for from := s.left(walked{name, in}, 0); len(found) == 0; from = 0 {
		err = s.walk(ctx, "look for rows", t, from, func(n int, entries []entry) error {
			for _, e := range entries {
				if len(found) == limit {
					s.left(walked{name, in}, n)
					return errEnough
				}
				if e.Deleted == 0 && in.Has(e.held()) {
					found = append(found, guard.Held{RowID: stream.RowID{Table: name, Document: e.Document, Key: e.Key}, Version: stream.Unpack(e.Version)})
				}
			}
			return nil
		})
		if errors.Is(err, errEnough) {
			err = nil
		}
		if err != nil || from == 0 {
			break
		}
	}
	return found, err
}

// left remembers where a walk goes on, 0 for the beginning, and returns where it did before.
func (s *store) left(w walked, at int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.walks[w]
	delete(s.walks, w)
	if at > 0 {
		s.walks[w] = at
	}
	return before
}

// Collect forgets tombstones. Their features stay in Feast, which has no delete. See guard.Rows.
func (s *store) Collect(ctx context.Context, name string, in guard.Range, before time.Time) error {
	t, err := s.table(name)
	if err != nil {
		return err
	}
	old := func(e entry) bool {
		return e.Deleted > 0 && e.Deleted < before.UnixMilli() && len(e.Former) == 0 && in.Has(e.held())
	}
	var names []string
	err = s.walk(ctx, "look for tombstones", t, 0, func(n int, entries []entry) error {
		if slices.ContainsFunc(entries, old) {
			names = append(names, t.pageAt(n))
		}
		return nil
	})
	if err != nil {
		return err
	}
	return s.reviseEntries(ctx, "forget tombstones", t, names, func(_ string, entries []entry) ([]entry, bool) {
		left := slices.DeleteFunc(slices.Clone(entries), old)
		return left, len(left) < len(entries)
	})
}

// reviseEntries is revise of pages of entries.
func (s *store) reviseEntries(ctx context.Context, doing string, t *table, names []string, change func(name string, entries []entry) ([]entry, bool)) error {
	return t.turn.do(ctx, func() error {
		return s.revise(ctx, doing, names, func(name, body string) (string, bool, error) {
			entries, err := entriesOf(name, body)
			if err != nil {
				return "", false, err
			}
			entries, alters := change(name, entries)
			if !alters {
				return "", false, nil
			}
			text, err := json.Marshal(entries)
			return string(text), true, err
		})
	})
}

// rowsInRequest is how many rows one request reads with their features.
const rowsInRequest = 256

// Read reads a table in order of (document, key): what its pages list, as the features say it. A row whose join key another one took is left out. See
// guard.Reader.
func (s *store) Read(ctx context.Context, name string, each func(guard.Item) error) error {
	t, err := s.table(name)
	if err != nil {
		return err
	}
	var all []entry
	err = s.walk(ctx, "list rows", t, 0, func(_ int, entries []entry) error {
		for _, e := range entries {
			if e.Deleted == 0 {
				all = append(all, e)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	slices.SortFunc(all, func(a, b entry) int { return cmp.Or(cmp.Compare(a.Document, b.Document), cmp.Compare(a.Key, b.Key)) })
	for some := range slices.Chunk(all, rowsInRequest) {
		keys := make([]json.RawMessage, len(some))
		for n, e := range some {
			keys[n] = t.entityOf(e)
		}
		rows, err := s.read(ctx, "read rows", t.view, t.names(), keys)
		if err != nil {
			return err
		}
		for n, r := range rows {
			i, found := t.item(r)
			if !found || !some[n].is(i) {
				continue
			}
			i.Epoch, i.Partition = some[n].Epoch, some[n].Partition
			if err := each(i); err != nil {
				return err
			}
		}
	}
	return nil
}
