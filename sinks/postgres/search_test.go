package postgres_test

import (
	"fmt"
	"math"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/freshet-dev/freshet/stream"
)

// TestHalfVectors: f16 elements are kept bit by bit and searched, with an index, past its default of 40 results.
func TestHalfVectors(t *testing.T) {
	ctx := t.Context()
	s := newSchema(t)
	table := with(tableOf("halves", column("v", stream.VectorType(stream.F16, 2).OrNull())), "hnsw", stream.ListOf(stream.StringOf("v")))
	sink := s.sink(t, table)
	begin(t, sink)
	half := func(a, b uint16) stream.Value {
		v, err := stream.RawVectorOf(stream.F16, []byte{byte(a), byte(a >> 8), byte(b), byte(b >> 8)})
		must(t, err)
		return v
	}
	const one = 0x3c00
	var rows []stream.RowWrite
	for i := range 120 {
		rows = append(rows, stream.RowWrite{RowID: stream.RowID{Table: "halves", Document: fmt.Sprintf("%03d", i)},
			Columns: []stream.Value{half(one, uint16(i+1)<<5)}})
	}
	rows = append(rows, stream.RowWrite{RowID: stream.RowID{Table: "halves", Document: "zero"}, Columns: []stream.Value{half(0, 0)}})
	must(t, sink.Apply(ctx, batch(0, rows...)))

	n := 0
	must(t, sink.(stream.Reader).ReadRows(ctx, "halves", func(r stream.RowWrite) error {
		if !r.Columns[0].Equal(rows[n].Columns[0]) {
			t.Errorf("row %s holds %x", r.Document, r.Columns[0].Raw())
		}
		n++
		return nil
	}))
	if made, _ := s.indexes(t); made != 0 {
		t.Errorf("%d HNSW indexes before the load is over", made)
	}
	must(t, sink.Sweep(ctx, 0, 1, stream.Version{}))
	hits, err := sink.(stream.Searcher).Search(ctx, "halves", "v", half(one, 0), 200)
	must(t, err)
	if len(hits) != 120 || n != 121 || hits[0].Document != "000" {
		t.Fatalf("%d hits, first %+v, of %d rows", len(hits), hits[0], n)
	}
	for i := 1; i < len(hits); i++ {
		if math.IsNaN(hits[i].Distance) || hits[i].Distance < hits[i-1].Distance {
			t.Fatalf("hit %d at %g after %g", i, hits[i].Distance, hits[i-1].Distance)
		}
	}
	if made, usable := s.indexes(t); made != 1 || usable != 1 {
		t.Fatalf("%d HNSW indexes, %d of them can be used", made, usable)
	}
}

// indexes counts the HNSW indexes of the schema.
func (s schema) indexes(t *testing.T) (made, usable int) {
	t.Helper()
	must(t, s.conn.QueryRow(t.Context(), `select count(*), count(*) filter (where indisvalid) from pg_index i join pg_class c on c.oid = i.indexrelid
join pg_am a on a.oid = c.relam where a.amname = 'hnsw' and c.relnamespace = $1::text::regnamespace`, s.name).Scan(&made, &usable))
	return made, usable
}

// TestIndexIsMadeAfterTheLoad: an HNSW index comes when a first pass or a rebuild is over, also when two ask at once; one that was left unfinished
// is made anew by the next start, and none is made while a rebuild is under way.
func TestIndexIsMadeAfterTheLoad(t *testing.T) {
	ctx := t.Context()
	s := newSchema(t)
	table := with(tableOf("chunks", column("v", stream.VectorType(stream.F32, 2))), "hnsw", stream.ListOf(stream.StringOf("v")))
	sink := s.sink(t, table)
	begin(t, sink)
	want := func(when string, want int) {
		t.Helper()
		if made, usable := s.indexes(t); made != want || usable != want {
			t.Errorf("%s: %d HNSW indexes, of which %d can be used, want %d", when, made, usable, want)
		}
	}
	row := func(document string) stream.RowWrite {
		return stream.RowWrite{RowID: stream.RowID{Table: "chunks", Document: document}, Columns: []stream.Value{stream.VectorOf([]float32{1, 0})}}
	}
	must(t, sink.Apply(ctx, batch(0, row("a"))))
	want("during the first pass", 0)
	var group errgroup.Group
	for range 4 {
		group.Go(func() error { return sink.Sweep(ctx, 0, 1, stream.Version{}) })
	}
	must(t, group.Wait())
	must(t, sink.Sweep(ctx, 0, 1, stream.Version{}))
	want("after it", 1)

	_, err := s.conn.Exec(ctx, "update pg_index set indisvalid = false where indrelid = $1::text::regclass and not indisprimary", s.id("chunks"))
	must(t, err)
	must(t, sink.Close())
	open(t, sink)
	want("after a start that finds an unfinished one", 1)

	must(t, sink.Recreate(ctx, []string{"chunks"}))
	open(t, sink)
	want("during a rebuild", 0)
	must(t, sink.Stage(ctx, batch(0, row("a"))))
	want("before its end", 0)
	must(t, sink.Switch(ctx, 0, 1))
	want("after it", 1)
}

// TestRenamedTable: the setting `table` names the table in the database; the flow goes on with its own name.
func TestRenamedTable(t *testing.T) {
	s := newSchema(t)
	sink := s.sink(t, with(notes, "table", stream.StringOf("Other Notes")))
	begin(t, sink)
	must(t, sink.Apply(t.Context(), batch(0, note(0, "a", "A"))))
	wantTexts(t, sink, map[string]string{"a": "A"})
	var text string
	must(t, s.conn.QueryRow(t.Context(), "select text from "+s.id("Other Notes")+" where _document = 'a'").Scan(&text))
}
