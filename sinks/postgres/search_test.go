package postgres_test

import (
	"fmt"
	"math"
	"testing"

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
	var indexed int
	must(t, s.conn.QueryRow(ctx, "select count(*) from pg_indexes where schemaname = $1 and indexdef like '%USING hnsw%halfvec_cosine_ops%'",
		s.name).Scan(&indexed))
	if indexed != 1 {
		t.Fatalf("%d HNSW indexes", indexed)
	}
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
