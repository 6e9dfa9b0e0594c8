package sqlite

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"github.com/freshet-dev/freshet/stream"
)

var searched = stream.Table{Name: "chunks", Columns: []stream.Field{
	{Name: "embedding", Type: stream.VectorType(stream.F32, 256)},
	{Name: "path", Type: stream.TypeString},
	{Name: "text", Type: stream.TypeString},
}}

// BenchmarkApply writes small rows with vectors of 256 dimensions: in bulk as a catch-up does, and few as an edit does.
func BenchmarkApply(b *testing.B) {
	for _, rows := range []int{1, 10, 5000} {
		b.Run(fmt.Sprintf("rows=%d", rows), func(b *testing.B) {
			sink := benchSink(b)
			units := benchUnits(rows)
			next := int64(0)
			b.ResetTimer()
			for range b.N {
				next = applyNew(b, sink, units, next)
			}
			b.ReportMetric(float64(b.N*rows)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}

// BenchmarkSearch finds the 10 nearest of 50,000 rows.
func BenchmarkSearch(b *testing.B) {
	sink := benchSink(b)
	units := benchUnits(50_000)
	applyNew(b, sink, units, 0)
	query := units[7].Rows[0].Columns[0]
	b.ResetTimer()
	for range b.N {
		hits, err := sink.Search(b.Context(), "chunks", "embedding", query, 10)
		if err != nil || len(hits) != 10 || hits[0].Distance > 1e-6 {
			b.Fatal(hits, err)
		}
	}
}

func benchSink(b *testing.B) *Sink {
	b.Helper()
	sink, err := newAt(filepath.Join(b.TempDir(), "bench.db"), []stream.TargetTable{{Table: searched}})
	if err != nil {
		b.Fatal(err)
	}
	s := sink.(*Sink)
	b.Cleanup(func() { _ = s.Close() })
	if _, err := s.Open(b.Context(), "bench", "local"); err != nil {
		b.Fatal(err)
	}
	if _, err := s.Assign(b.Context(), 0, stream.Origin{}); err != nil {
		b.Fatal(err)
	}
	return s
}

func benchUnits(rows int) []stream.Unit {
	random := rand.New(rand.NewPCG(1, 2))
	units := make([]stream.Unit, 0, rows)
	text := strings.Repeat("a few words of text; ", 12)
	for range rows {
		vector := make([]float32, 256)
		for i := range vector {
			vector[i] = random.Float32() - 0.5
		}
		r := stream.RowWrite{Lineage: []byte(`{"source":"docs"}`),
			Columns: []stream.Value{stream.VectorOf(vector), stream.StringOf("docs/page.md"), stream.StringOf(text)}}
		units = append(units, stream.Unit{Rows: []stream.RowWrite{r}})
	}
	return units
}

// applyNew gives the units new keys and versions, twenty rows to a document, and applies them as one batch.
func applyNew(b *testing.B, s *Sink, units []stream.Unit, from int64) int64 {
	b.Helper()
	next := from
	for _, u := range units {
		r := &u.Rows[0]
		r.RowID = stream.RowID{Table: "chunks", Document: fmt.Sprintf("page/%06d", next/20), Key: fmt.Sprint(next % 20)}
		r.Version.Offset = next
		next++
	}
	if err := s.Apply(b.Context(), stream.Batch{From: from, To: next, Units: units}); err != nil {
		b.Fatal(err)
	}
	return next
}
