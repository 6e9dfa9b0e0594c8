package feast

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/freshet-dev/freshet/sinks/guard"
	"github.com/freshet-dev/freshet/stream"
)

// Views are made by whoever applies the feature repository. What this target makes in one is its header: a row, under a join key that no other has,
// that holds a value in each feature, and as its lineage what the table was made with.

// text is what a table is made with.
func (t *table) text() string {
	parts := make([]string, len(t.features))
	for n, f := range t.features {
		parts[n] = fmt.Sprintf("%q %s", f.name, f.of)
	}
	return fmt.Sprintf("key %q %s; features %s; %d pages", t.key, t.keyType, strings.Join(parts, ", "), t.pages)
}

// samples are values that tell the types of features apart.
var samples = map[string]string{typeBool: "true", typeInt: "9007199254740993", typeFloat: "0.1", typeString: `"text"`, typeVector: "[0.5,-2.0]"}

// headerRow is the header of a table that was made with a text; "" for one that was dropped.
func (t *table) headerRow(text string, above int64) row {
	r := row{key: t.header(), at: max(above+1, time.Now().UnixMicro()), values: make([]json.RawMessage, len(t.features))}
	for n, f := range t.features {
		r.values[n] = json.RawMessage(samples[f.of])
	}
	r.values[4] = quoted(text)
	return r
}

// Shape is what the header says, if rows can be written to the view as it is. See guard.Tables.
func (s *store) Shape(ctx context.Context, name string) (shape string, exists bool, err error) {
	t, err := s.table(name)
	if err != nil {
		return "", false, err
	}
	held, err := s.headerOf(ctx, t)
	switch {
	case isAbsent(err):
		return "", false, nil
	case err != nil:
		return "", false, s.misfit(ctx, t, err)
	}
	if shape = textOf(held.values[0]); shape != t.text() {
		return shape, shape != "", nil
	}
	return shape, true, s.putHeader(ctx, t, shape)
}

func (s *store) headerOf(ctx context.Context, t *table) (row, error) {
	rows, err := s.read(ctx, "look at a view", t.view, append([]string{fLineage}, without(t.names(), fLineage)...), []json.RawMessage{t.header()})
	if err != nil {
		return row{}, err
	}
	return rows[0], nil
}

func without(names []string, name string) (left []string) {
	for _, n := range names {
		if n != name {
			left = append(left, n)
		}
	}
	return left
}

// putHeader writes the header and makes sure that each feature came back as it was written.
func (s *store) putHeader(ctx context.Context, t *table, text string) error {
	for range attempts {
		held, err := s.headerOf(ctx, t)
		if err != nil {
			return s.misfit(ctx, t, err)
		}
		r := t.headerRow(text, held.at)
		if err := s.push(ctx, "look at a view", t.view, []row{r}); err != nil {
			return s.misfit(ctx, t, err)
		}
		back, err := s.read(ctx, "look at a view", t.view, t.names(), []json.RawMessage{r.key})
		if err != nil {
			return s.misfit(ctx, t, err)
		}
		if back[0].at < r.at {
			continue
		}
		for n, f := range t.features {
			if !alike(f.of, back[0].values[n], r.values[n]) {
				return s.misfit(ctx, t, stream.Errorf(stream.Usage, "feast: look at a view", "feature %s gives back %.100s for %.100s", f.name, back[0].values[n], r.values[n]))
			}
		}
		return nil
	}
	return stream.Errorf(stream.Transient, "feast: look at a view", "the row that says what the view %s is for does not come back", t.name)
}

// alike reports whether a feature came back as it was written.
func alike(of string, got, want json.RawMessage) bool {
	if of == typeVector {
		var a, b []float64
		return json.Unmarshal(got, &a) == nil && json.Unmarshal(want, &b) == nil && fmt.Sprint(a) == fmt.Sprint(b)
	}
	if of == typeString {
		return len(got) > 0 && got[0] == '"' && textOf(got) == textOf(want)
	}
	return string(got) == string(want)
}

// misfit says what is to be applied, if it is the view that is at fault: the server has one answer for that and for a store that is away, so the
// bookkeeping is asked for.
func (s *store) misfit(ctx context.Context, t *table, err error) error {
	fits := !isAbsent(err) && !isInternal(err) && stream.KindOf(err) != stream.Usage
	if _, away := s.pagesNamed(ctx, "look at the bookkeeping", []string{"proof"}); fits || away != nil {
		return err
	}
	return stream.Errorf(stream.Usage, "feast: look at a view", "the view %s is not as table %s needs it: %w. This needs to be applied in the feature repository: %s",
		t.name, t.Name, err, t.python())
}

// Create makes a header in a view; the view is there already, or an error says what to apply. See guard.Tables.
func (s *store) Create(ctx context.Context, kept guard.Table) error {
	t, err := s.table(kept.As)
	if err != nil {
		return err
	}
	if _, exists, err := s.Shape(ctx, kept.As); err != nil || exists {
		return err
	}
	return s.putHeader(ctx, t, t.text())
}

// Drop empties the header, then buries all rows that are listed and forgets them. Killed in between, it leaves a table that does not exist, so all
// that was in it is read again, and rows that the rebuild overwrites or buries. See guard.Tables.
func (s *store) Drop(ctx context.Context, name string) error {
	t, err := s.table(name)
	if err != nil {
		return err
	}
	if err := s.putHeader(ctx, t, ""); err != nil {
		return err
	}
	var names []string
	var writes []write
	err = s.walk(ctx, "drop a table", t, 0, func(n int, entries []entry) error {
		names = append(names, t.pageAt(n))
		for _, e := range entries {
			writes = append(writes, t.burial(e)...)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for len(writes) > 0 {
		n := min(len(writes), rowsInRequest)
		if err := s.settle(ctx, t, writes[:n]); err != nil {
			return err
		}
		writes = writes[n:]
	}
	return s.reviseEntries(ctx, "drop a table", t, names, func(_ string, entries []entry) ([]entry, bool) { return nil, len(entries) > 0 })
}

// burial is what makes tombstones of an entry's features.
func (t *table) burial(e entry) []write {
	i := guard.Item{RowWrite: stream.RowWrite{RowID: stream.RowID{Document: e.Document, Key: e.Key}, Version: stream.Unpack(e.Version), Delete: true}}
	all := t.writes(e, i, row{values: t.tombstone(i)})
	for n := range all {
		all[n].at++
	}
	return all
}

func (s *store) table(name string) (*table, error) {
	if t := s.tables[name]; t != nil {
		return t, nil
	}
	return nil, stream.Errorf(stream.Internal, "feast", "table %q is not one of this target's", name)
}
