package sinktest

import (
	"fmt"

	"github.com/freshet-dev/freshet/stream"
)

// chunks and pages are the tables that most cases write.
var (
	chunks = stream.Table{Name: "chunks", Columns: []stream.Field{
		{Name: "embedding", Type: stream.VectorType(stream.F32, 3).OrNull()},
		{Name: "n", Type: stream.TypeInt.OrNull()},
		{Name: "text", Type: stream.TypeString},
	}}
	pages = stream.Table{Name: "pages", Columns: []stream.Field{{Name: "title", Type: stream.TypeString.OrNull()}}}
)

var lineage = []byte(`{"document": "d", "source": {"topic": "docs", "partition": 0, "offset": 7}}`)

func targetTables(tables []stream.Table) []stream.TargetTable {
	out := make([]stream.TargetTable, len(tables))
	for i, t := range tables {
		out[i] = stream.TargetTable{Table: t}
	}
	return out
}

// chunk is a row of chunks whose columns follow from n.
func chunk(document, key string, n int) stream.RowWrite {
	return put("chunks", document, key, stream.VectorOf([]float32{float32(n), 1, -0.5}), stream.IntOf(int64(n)),
		stream.StringOf(fmt.Sprintf("text %d", n)))
}

// page is a document's row of pages.
func page(document, title string) stream.RowWrite {
	return put("pages", document, "", stream.StringOf(title))
}

func put(table, document, key string, columns ...stream.Value) stream.RowWrite {
	return stream.RowWrite{RowID: stream.RowID{Table: table, Document: document, Key: key}, Columns: columns, Lineage: lineage}
}

func del(table, document, key string) stream.RowWrite {
	return stream.RowWrite{RowID: stream.RowID{Table: table, Document: document, Key: key}, Delete: true}
}

// unit is a change of the first row's document.
func unit(rows ...stream.RowWrite) stream.Unit {
	return stream.Unit{Document: rows[0].Document, Rows: rows}
}

// at gives the row the version that the rows-topic offset stands for.
func at(offset int64, r stream.RowWrite) stream.RowWrite {
	r.Version = stream.Version{Generation: generation, Offset: offset}
	return r
}
