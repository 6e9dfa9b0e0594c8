package postgres_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/freshet-dev/freshet/stream"
)

const benchRows = 5000

var benched = tableOf("benched", column("n", stream.TypeInt), column("text", stream.TypeString))

func benchBatch(from int64) stream.Batch {
	b := stream.Batch{From: from, To: from + benchRows}
	for i := range int64(benchRows) {
		b.Units = append(b.Units, stream.Unit{Rows: []stream.RowWrite{{
			RowID:   stream.RowID{Table: "benched", Document: fmt.Sprintf("docs/%06d", rand.IntN(200_000)), Key: fmt.Sprint(i % 4)},
			Version: stream.Version{Generation: 1, Offset: from + i}, Lineage: []byte(`{"document":"docs/1","offset":7}`),
			Columns: []stream.Value{stream.IntOf(i), stream.StringOf(benchText)},
		}}})
	}
	return b
}

var benchText = noise(200)

// BenchmarkApply writes guarded upserts by the sink: unnest over arrays.
func BenchmarkApply(b *testing.B) {
	sink := newSchema(b).sink(b, benched)
	begin(b, sink)
	from := int64(0)
	for b.Loop() {
		must(b, sink.Apply(b.Context(), benchBatch(from)))
		from += benchRows
	}
	b.ReportMetric(float64(from)/b.Elapsed().Seconds(), "rows/s")
}

// BenchmarkCopyMerge writes the same by COPY into a temporary table and a merge, for comparison.
func BenchmarkCopyMerge(b *testing.B) {
	s := newSchema(b)
	open(b, s.sink(b, benched))
	ctx := b.Context()
	s.exec(b, "create temp table incoming as select _partition, _document, _key, _version, _lineage, n, text from "+s.id("benched")+" limit 0")
	names := []string{"_partition", "_document", "_key", "_version", "_lineage", "n", "text"}
	from := int64(0)
	for b.Loop() {
		batch := benchBatch(from)
		must(b, pgx.BeginFunc(ctx, s.conn, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, "truncate incoming"); err != nil {
				return err
			}
			last := map[stream.RowID]stream.RowWrite{}
			for _, u := range batch.Units {
				last[u.Rows[0].RowID] = u.Rows[0]
			}
			var rows [][]any
			for _, r := range last {
				rows = append(rows, []any{0, r.Document, r.Key, r.Version.Pack(), r.Lineage, r.Columns[0].Int(), r.Columns[1].Str()})
			}
			if _, err := tx.CopyFrom(ctx, pgx.Identifier{"incoming"}, names, pgx.CopyFromRows(rows)); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, "insert into "+s.id("benched")+` as t (_partition, _document, _key, _version, _lineage, n, text)
select * from incoming order by _document, _key on conflict (_document, _key) do update set _version = excluded._version,
_lineage = excluded._lineage, n = excluded.n, text = excluded.text where t._version < excluded._version`)
			return err
		}))
		from += benchRows
	}
	b.ReportMetric(float64(from)/b.Elapsed().Seconds(), "rows/s")
}

// BenchmarkApplyVectors writes rows with a vector of 768 dimensions.
func BenchmarkApplyVectors(b *testing.B) {
	sink := newSchema(b).sink(b, tableOf("benched", column("v", stream.VectorType(stream.F32, 768))))
	begin(b, sink)
	floats := make([]float32, 768)
	for i := range floats {
		floats[i] = rand.Float32()
	}
	const rows = 1000
	from := int64(0)
	for b.Loop() {
		batch := benchBatch(from)
		batch.Units, batch.To = batch.Units[:rows], from+rows
		for _, u := range batch.Units {
			u.Rows[0].Columns = []stream.Value{stream.VectorOf(floats)}
		}
		must(b, sink.Apply(b.Context(), batch))
		from += rows
	}
	b.ReportMetric(float64(from)/b.Elapsed().Seconds(), "rows/s")
}
