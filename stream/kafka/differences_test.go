package kafka

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/freshet-dev/freshet/statestore"
	"github.com/freshet-dev/freshet/stream"
)

// shown is a target that is only read.
type shown struct {
	stream.Sink
	rows []stream.RowWrite
}

func (s shown) ReadRows(_ context.Context, table string, each func(stream.RowWrite) error) error {
	for _, r := range s.rows {
		if r.Table != table {
			continue
		}
		if err := each(r); err != nil {
			return err
		}
	}
	return nil
}

var notesTable = stream.Table{Name: "notes", Columns: []stream.Field{{Name: "embedding", Type: stream.VectorType(stream.F32, 2).OrNull()},
	{Name: "score", Type: stream.TypeDouble.OrNull()}, {Name: "text", Type: stream.TypeString.OrNull()}}}

// noted is a row of notesTable, written at an offset of generation 2.
func noted(document, key string, offset int64, text string) stream.RowWrite {
	return stream.RowWrite{RowID: stream.RowID{Table: "notes", Document: document, Key: key}, Version: stream.Version{Generation: 2, Offset: offset},
		Columns: []stream.Value{stream.VectorOf([]float32{1, float32(len(text))}), stream.DoubleOf(0), stream.StringOf(text)}}
}

func with(r stream.RowWrite, change func(*stream.RowWrite)) stream.RowWrite {
	r.Columns = slices.Clone(r.Columns)
	change(&r)
	return r
}

// comparing is a comparison of what a log says with what a target shows.
type comparing struct {
	*testing.T
	v    *verification
	said []string
}

func newComparing(t *testing.T) *comparing {
	c := &comparing{T: t}
	c.v = newVerification(VerifyConfig{Target: "shelf", Tables: map[string]stream.Table{"notes": notesTable}, Ledger: statestore.NewMemory(),
		Progress: func(string, int64, int64) {},
		Differs:  func(d Difference) error { c.said = append(c.said, d.String()); return nil }})
	c.v.units.gen = 2
	return c
}

// log takes a row's last record, which the target has applied or not.
func (c *comparing) log(w stream.RowWrite, applied bool) {
	c.Helper()
	if err := c.v.expected(0, w, applied); err != nil {
		c.Fatal(err)
	}
}

// finds compares with the rows shown, of which some changed meanwhile, and demands what it says.
func (c *comparing) finds(rows []stream.RowWrite, meanwhile []stream.RowID, unjudged int64, want ...string) {
	c.Helper()
	if err := c.v.flush(); err != nil {
		c.Fatal(err)
	}
	if err := c.v.compareAll(c.Context(), shown{rows: rows}); err != nil {
		c.Fatal(err)
	}
	for _, id := range meanwhile {
		if err := c.v.changed(id); err != nil {
			c.Fatal(err)
		}
	}
	if err := c.v.flush(); err != nil {
		c.Fatal(err)
	}
	if err := c.v.report(); err != nil {
		c.Fatal(err)
	}
	if !slices.Equal(c.said, want) {
		c.Errorf("it says\n%s\nwant\n%s", strings.Join(c.said, "\n"), strings.Join(want, "\n"))
	}
	if c.v.out.Unjudged != unjudged || c.v.out.Rows != int64(len(rows)) {
		c.Errorf("%d rows, %d not judged; want %d and %d", c.v.out.Rows, c.v.out.Unjudged, len(rows), unjudged)
	}
}

func edited(r *stream.RowWrite)  { r.Columns[2] = stream.StringOf("edited") }
func turned(r *stream.RowWrite)  { r.Columns[0] = stream.VectorOf([]float32{1, 0.5}) }
func emptied(r *stream.RowWrite) { r.Columns[0] = stream.Value{} }

// TestDifferences: each kind is found, and named.
func TestDifferences(t *testing.T) {
	for _, tt := range []struct {
		name string
		held []stream.RowWrite
		want []string
	}{
		{"none", []stream.RowWrite{noted("a", "1", 5, "one"), noted("b", "", 6, "two")}, nil},
		{"the other zero", []stream.RowWrite{with(noted("a", "1", 5, "one"), func(r *stream.RowWrite) { r.Columns[1] = stream.DoubleOf(math.Copysign(0, -1)) }),
			noted("b", "", 6, "two")}, nil},
		{"missing", []stream.RowWrite{noted("b", "", 6, "two")}, []string{"row missing: table notes, document a, key 1 (version 2.5)"}},
		{"missing at the end", []stream.RowWrite{noted("a", "1", 5, "one")}, []string{"row missing: table notes, document b (version 2.6)"}},
		{"all missing", nil, []string{"row missing: table notes, document a, key 1 (version 2.5)", "row missing: table notes, document b (version 2.6)"}},
		{"extra", []stream.RowWrite{noted("a", "1", 5, "one"), noted("a", "2", 5, "one"), noted("b", "", 6, "two")},
			[]string{"extra row: table notes, document a, key 2 (version 2.5)"}},
		{"a column", []stream.RowWrite{with(noted("a", "1", 5, "one"), edited), noted("b", "", 6, "two")},
			[]string{"edited column: table notes, document a, key 1, column text (version 2.5)"}},
		{"a vector", []stream.RowWrite{noted("a", "1", 5, "one"), with(noted("b", "", 6, "two"), turned)},
			[]string{"edited vector: table notes, document b, column embedding (version 2.6)"}},
		{"a vector gone, and a column", []stream.RowWrite{with(with(noted("a", "1", 5, "one"), emptied), edited), noted("b", "", 6, "two")},
			[]string{"edited vector: table notes, document a, key 1, column embedding (version 2.5)",
				"edited column: table notes, document a, key 1, column text (version 2.5)"}},
		{"an older version", []stream.RowWrite{noted("a", "1", 4, "before"), noted("b", "", 6, "two")},
			[]string{"other version: table notes, document a, key 1 (2.4 in place of 2.5)"}},
		{"a version of nothing", []stream.RowWrite{noted("a", "1", 5, "one"), noted("b", "", 99, "two")},
			[]string{"other version: table notes, document b (2.99 in place of 2.6)"}},
		{"two of one identity", []stream.RowWrite{noted("a", "1", 5, "one"), noted("b", "", 6, "two"), noted("b", "", 6, "two"), noted("b", "", 7, "two")},
			[]string{"extra row: table notes, document b (version 2.7)"}},
		{"of an older generation", []stream.RowWrite{noted("a", "1", 5, "one"), with(noted("ab", "", 6, "two"), func(r *stream.RowWrite) { r.Version.Generation = 1 }), noted("b", "", 6, "two")},
			[]string{"extra row: table notes, document ab (version 1.6)"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newComparing(t)
			c.log(noted("b", "", 2, "before"), true)
			c.log(stream.RowWrite{RowID: stream.RowID{Table: "notes", Document: "c"}, Version: stream.Version{Generation: 2, Offset: 3}, Delete: true}, true)
			c.log(noted("a", "1", 5, "one"), true)
			c.log(noted("b", "", 6, "two"), true)
			c.finds(tt.held, nil, 0, tt.want...)
		})
	}
}

// TestUnjudged: what the target need not have applied, or what changed while it was read, is no difference; what can't be
// a matter of time is.
func TestUnjudged(t *testing.T) {
	gone := noted("gone", "", 12, "")
	gone.Delete, gone.Columns = true, nil
	c := newComparing(t)
	c.log(gone, false)
	c.log(noted("late", "1", 10, "new"), false)
	c.log(noted("late", "2", 11, "new"), false)
	c.log(noted("late", "3", 13, "new"), false)
	c.log(noted("live", "1", 3, "old"), true)
	c.log(noted("live", "2", 4, "old"), true)
	c.log(noted("still", "", 5, "old"), true)
	meanwhile := []stream.RowID{{Table: "notes", Document: "live", Key: "1"}, {Table: "notes", Document: "live", Key: "2"},
		{Table: "notes", Document: "live", Key: "3"}, {Table: "notes", Document: "late", Key: "1"}, {Table: "other", Document: "still"}}
	c.finds([]stream.RowWrite{
		noted("gone", "", 2, "not deleted yet"),
		noted("late", "1", 1, "old"), // and late 2 is not there yet
		with(noted("late", "3", 13, "new"), edited),
		noted("live", "1", 20, "newer"), // live 2 is deleted since
		noted("live", "3", 21, "new"),
	}, meanwhile, 6,
		"edited column: table notes, document late, key 3, column text (version 2.13)", "row missing: table notes, document still (version 2.5)")
}

// TestUnsweptRows: before the sweep that ends a generation's first pass, rows of older ones are there rightly.
func TestUnsweptRows(t *testing.T) {
	c := newComparing(t)
	c.v.old = true
	c.finds([]stream.RowWrite{with(noted("a", "", 5, "one"), func(r *stream.RowWrite) { r.Version.Generation = 1 }), noted("b", "", 5, "one")}, nil, 1,
		"extra row: table notes, document b (version 2.5)")
}

// TestManyDifferences: more rows than the ledger takes or gives at once, in documents whose order is easily mistaken.
func TestManyDifferences(t *testing.T) {
	c := newComparing(t)
	var rows []stream.RowWrite
	for _, document := range []string{"", "\x00", "\x00\x01", "\x00é", "\x01", "a", "a\x00", "a\x00b", "a\x01", "b", "é"} {
		for n := range cursorPage / 4 {
			rows = append(rows, noted(document, fmt.Sprintf("%04d", n), int64(n), "text"))
		}
	}
	for _, r := range rows {
		c.log(r, true)
	}
	var want []string
	var held []stream.RowWrite
	for n, r := range rows {
		if n%3 > 0 {
			held = append(held, r)
			continue
		}
		want = append(want, fmt.Sprintf("row missing: table notes, document %s, key %s (version %s)", r.Document, r.Key, r.Version))
	}
	c.finds(held, nil, 0, want...)
	if got := c.v.out.Differences[Missing]; got != int64(len(want)) {
		t.Errorf("%d counted, want %d", got, len(want))
	}
}

// TestUnsortedTarget: rows out of order would be taken for missing ones.
func TestUnsortedTarget(t *testing.T) {
	c := newComparing(t)
	err := c.v.compareAll(t.Context(), shown{rows: []stream.RowWrite{noted("b", "", 1, ""), noted("a", "", 1, "")}})
	if stream.KindOf(err) != stream.Internal {
		t.Errorf("got %v", err)
	}
}
