package feast

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/freshet-dev/freshet/sinks/guard"
	"github.com/freshet-dev/freshet/stream"
)

var _ guard.Store = (*store)(nil)

// write is a row of features that is to be pushed: a row of the flow, or the tombstone of one.
type write struct {
	row
	entry entry // as the page has it
	gone  bool
}

// Put writes items: those that win into the pages, then their features. See guard.Rows.
func (s *store) Put(ctx context.Context, name string, items []guard.Item) error {
	t, err := s.table(name)
	if err != nil || len(items) == 0 {
		return err
	}
	rows := make([]row, len(items))
	for n, i := range items {
		if rows[n], err = t.row(i); err != nil {
			return err
		}
	}
	writes, err := s.enter(ctx, t, items, rows)
	if err != nil {
		return err
	}
	if err := s.settle(ctx, t, writes); err != nil {
		return err
	}
	return s.forgetFormer(ctx, t, writes)
}

// enter notes the items that win in their pages, and returns what is to be pushed of them.
func (s *store) enter(ctx context.Context, t *table, items []guard.Item, rows []row) ([]write, error) {
	byPage := map[string][]int{}
	var names []string
	for n, i := range items {
		name := t.pageOf(i.Document)
		if byPage[name] == nil {
			names = append(names, name)
		}
		byPage[name] = append(byPage[name], n)
	}
	entered := make([][]write, len(items)) // by item: set anew whenever its page is revised
	err := s.reviseEntries(ctx, "note rows", t, names, func(name string, entries []entry) ([]entry, bool) {
		alters := false
		for _, n := range byPage[name] {
			i, r := items[n], rows[n]
			at := slices.IndexFunc(entries, func(e entry) bool { return e.is(i) })
			entered[n] = nil
			if at < 0 {
				at = len(entries)
				entries = append(entries, entry{Document: i.Document, Key: i.Key})
			} else if !i.Beats(entries[at].held()) { // Invariant 3
				continue
			}
			entries[at] = t.enter(entries[at], i, r)
			entered[n] = t.writes(entries[at], i, r)
			alters = true
		}
		return entries, alters
	})
	var writes []write
	for _, w := range entered {
		writes = append(writes, w...)
	}
	return oneEach(writes), err
}

// enter is the entry of an item that won. A put is of its own time, but above all that its join key had; a tombstone is next to what the row had, so
// that it never replaces another row that took the join key since.
func (t *table) enter(was entry, i guard.Item, r row) entry {
	e := entry{Document: i.Document, Key: i.Key, Version: i.Version.Pack(), Epoch: i.Epoch, Partition: i.Partition, Entity: was.Entity, Former: was.Former}
	switch {
	case i.Delete && was.At > 0:
		e.At, e.Deleted = was.At+1, max(i.At.UnixMilli(), 1)
	case i.Delete:
		e.At, e.Deleted = r.at, max(i.At.UnixMilli(), 1)
	default:
		e.At = max(r.at, was.At+1)
		if t.entity >= 0 {
			if was.Entity != nil && !bytes.Equal(was.Entity, r.key) {
				e.Former = append(slices.Clone(e.Former), former{was.Entity, was.At})
			}
			e.Former = slices.DeleteFunc(slices.Clone(e.Former), func(f former) bool { return bytes.Equal(f.Entity, r.key) })
			e.Entity = r.key
		}
	}
	return e
}

// writes are what is to be pushed for an item that won: its row or tombstone, and the tombstones of join keys that it had before.
func (t *table) writes(e entry, i guard.Item, r row) (all []write) {
	if key := t.entityOf(e); key != nil {
		all = append(all, write{row{key, e.At, r.values}, e, i.Delete})
	}
	for _, f := range e.Former {
		i.Delete = true
		all = append(all, write{row{f.Entity, f.At + 1, t.tombstone(i)}, e, true})
	}
	return all
}

// oneEach keeps one write for each join key: the last row, or else the last tombstone.
func oneEach(writes []write) []write {
	last := map[string]int{}
	for n, w := range writes {
		if before, found := last[string(w.key)]; !found || !w.gone || writes[before].gone {
			last[string(w.key)] = n
		}
	}
	kept := writes[:0:0]
	for n, w := range writes {
		if last[string(w.key)] == n {
			kept = append(kept, w)
		}
	}
	return kept
}

// settle pushes rows and reads back what lies there, until each is there or a later one is. What lies above it by hand, or by a row that had the join key
// before, it replaces by one that is next to it: of two that do so, one is left out, and sees it.
func (s *store) settle(ctx context.Context, t *table, writes []write) error {
	const doing = "write rows"
	for range attempts {
		if len(writes) == 0 {
			return nil
		}
		rows := make([]row, len(writes))
		keys := make([]json.RawMessage, len(writes))
		for n, w := range writes {
			rows[n], keys[n] = w.row, w.key
		}
		if err := s.push(ctx, doing, t.view, rows); err != nil {
			return err
		}
		held, err := s.read(ctx, doing, t.view, []string{fDocument, fKey, fVersion, fDeleted}, keys)
		if err != nil {
			return err
		}
		if writes, err = s.unsettled(ctx, t, writes, held); err != nil {
			return err
		}
	}
	return stream.Errorf(stream.Transient, "feast: "+doing, "%d rows of the view %s were replaced by others each time", len(writes), t.name)
}

// unsettled returns the writes that are to be pushed again, above what is held.
func (s *store) unsettled(ctx context.Context, t *table, writes []write, held []row) (again []write, err error) {
	for n, w := range writes {
		h := held[n]
		own := textOf(h.values[0]) == w.entry.Document && textOf(h.values[1]) == w.entry.Key
		version, gone := intOf(h.values[2]), string(h.values[3]) == "true"
		switch {
		case own && h.at == w.at && version == w.entry.Version && gone == w.gone:
			continue
		case w.gone && (h.at == 0 || gone || !own): // it is gone, or another row took the join key
			continue
		}
		w.at = max(w.at, h.at+1)
		again = append(again, w)
	}
	if len(again) == 0 {
		return nil, nil
	}
	return s.current(ctx, t, again)
}

// current leaves out the writes whose pages were revised since: a newer one of the same row is under way, or done.
func (s *store) current(ctx context.Context, t *table, writes []write) (still []write, err error) {
	names := make([]string, len(writes))
	for n, w := range writes {
		names[n] = t.pageOf(w.entry.Document)
	}
	distinct := slices.Compact(slices.Sorted(slices.Values(names)))
	pages, err := s.pagesNamed(ctx, "look at rows again", distinct)
	if err != nil {
		return nil, err
	}
	now := map[string][]entry{}
	for _, p := range pages {
		if now[p.name], err = entriesOf(p.name, p.body); err != nil {
			return nil, err
		}
	}
	for n, w := range writes {
		if slices.ContainsFunc(now[names[n]], w.entry.same) {
			still = append(still, w)
		}
	}
	return still, nil
}

// same reports whether it is the same entry of the same row.
func (e entry) same(other entry) bool {
	return e.Document == other.Document && e.Key == other.Key && e.Version == other.Version && e.Epoch == other.Epoch && e.At == other.At
}

// forgetFormer notes that the join keys that rows had before are empty.
func (s *store) forgetFormer(ctx context.Context, t *table, writes []write) error {
	var names []string
	var moved []entry
	for _, w := range writes {
		if len(w.entry.Former) > 0 {
			names, moved = append(names, t.pageOf(w.entry.Document)), append(moved, w.entry)
		}
	}
	if len(names) == 0 {
		return nil
	}
	slices.Sort(names)
	return s.reviseEntries(ctx, "note rows", t, slices.Compact(names), func(_ string, entries []entry) (_ []entry, alters bool) {
		for n, e := range entries {
			if len(e.Former) > 0 && slices.ContainsFunc(moved, e.same) {
				entries[n].Former, alters = nil, true
			}
		}
		return entries, alters
	})
}

// Bounds of event timestamps: what the server's tables of nanoseconds hold.
var firstAt, lastAt = time.Unix(1, 0).UnixMicro(), time.Date(2262, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro()

// at is the event timestamp that an item asks for.
func (t *table) at(i guard.Item) int64 {
	at := i.At
	if t.eventTime >= 0 && !i.Delete && i.Columns[t.eventTime].Kind() == stream.Timestamp {
		at = i.Columns[t.eventTime].Time()
	}
	return min(max(at.UnixMicro(), firstAt), lastAt)
}

// faulty says what is wrong with an item.
func faulty(i guard.Item, err error) error {
	return &stream.Error{Op: "feast: write rows", Doc: i.Document, Kind: stream.Usage, Err: fmt.Errorf("row %q: %w", i.Key, err)}
}
