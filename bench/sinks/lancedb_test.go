//go:build bench

package sinks

import (
	"context"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/freshet-dev/freshet/internal/testenv"
	"github.com/freshet-dev/freshet/sinks/lancedb"
	"github.com/freshet-dev/freshet/stream"
)

// lanceContest has a bare client that merges all rows of a batch by one commit, whatever is there.
func lanceContest(t *testing.T, k kind) contest {
	t.Helper()
	server, namespace := testenv.SharedLance(t), testenv.Name(t)
	bare := func(name string, whole bool) writer {
		fields := []arrow.Field{{Name: "id", Type: arrow.BinaryTypes.String}, {Name: "n", Type: arrow.PrimitiveTypes.Int64}, {Name: "path", Type: arrow.BinaryTypes.String},
			{Name: "text", Type: arrow.BinaryTypes.String}}
		if k.dims > 0 {
			fields = append(fields, arrow.Field{Name: "embedding", Type: arrow.FixedSizeListOf(int32(k.dims), arrow.PrimitiveTypes.Float32)})
		}
		if whole {
			fields = append(fields, arrow.Field{Name: "document", Type: arrow.BinaryTypes.String}, arrow.Field{Name: "key", Type: arrow.BinaryTypes.String},
				arrow.Field{Name: "version", Type: arrow.PrimitiveTypes.Int64}, arrow.Field{Name: "partition", Type: arrow.PrimitiveTypes.Int64},
				arrow.Field{Name: "lineage", Type: arrow.BinaryTypes.String})
		}
		schema, table := arrow.NewSchema(fields, nil), server.Table(namespace+"$"+name)
		must(t, table.Create(t.Context(), schema))
		return func(ctx context.Context, rows []row) error {
			b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
			defer b.Release()
			for _, r := range rows {
				values := []any{r.document + " " + r.key, r.n, r.path, r.text}
				if k.dims > 0 {
					values = append(values, r.vector)
				}
				if whole {
					values = append(values, r.document, r.key, r.version(), int64(0), lineage)
				}
				for i, v := range values {
					appendTo(b.Field(i), v)
				}
			}
			batch := b.NewRecordBatch()
			defer batch.Release()
			return table.Merge(ctx, "id", batch)
		}
	}
	set := settings(text("url", server.URL()), stream.Entry{Key: "namespace", Value: stream.ListOf(stream.StringOf(namespace))})
	return contest{size: size{512, 4, 2048}, sink: newSink(t, lancedb.Spec(), set, k), same: bare("bare", true), columns: bare("columns", false)}
}

func appendTo(b array.Builder, v any) {
	switch v := v.(type) {
	case string:
		b.(*array.StringBuilder).Append(v)
	case int64:
		b.(*array.Int64Builder).Append(v)
	case []float32:
		list := b.(*array.FixedSizeListBuilder)
		list.Append(true)
		list.ValueBuilder().(*array.Float32Builder).AppendValues(v, nil)
	}
}
