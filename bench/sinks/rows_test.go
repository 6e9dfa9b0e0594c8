//go:build bench

package sinks

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"

	"github.com/freshet-dev/freshet/stream"
)

// kind is a table and how its rows look.
type kind struct {
	name string
	dims int // of the vector; 0: the rows have none
}

var kinds = []kind{{"small", 0}, {"with vectors", 256}}

// size is how much is written: rows in a batch, batches in a round, and how many rows the table holds, of which each write replaces one.
type size struct{ batch, batches, held int }

// row is one row, as both sides write it.
type row struct {
	document, key string
	offset        int64 // of its record, and so its version
	n             int64
	path, text    string
	vector        []float32
}

const lineage = `{"document":"page/docs/guide/0007.md","topic":"handbook.intake","partition":3,"offset":4711,"time":1700000000000,"logic":"5f2c81d0c7ee4b1f"}`

// rows makes the rows of one batch, no two of one key.
func (k kind) rows(random *rand.Rand, z size, from int64) []row {
	text := strings.Repeat("a few words of text; ", 10)
	all := make([]row, 0, z.batch)
	for i, id := range random.Perm(z.held)[:z.batch] {
		r := row{document: fmt.Sprintf("page/docs/guide/%04d.md", id/8), key: fmt.Sprintf("%016x", id%8), offset: from + int64(i),
			n: random.Int64N(1000), path: fmt.Sprintf("docs/guide/%04d.md", id/8), text: text + fmt.Sprint(random.Int64())}
		if k.dims > 0 {
			r.vector = unit(random, k.dims)
		}
		all = append(all, r)
	}
	return all
}

// unit is a vector of length 1, as models give them.
func unit(random *rand.Rand, dims int) []float32 {
	v := make([]float32, dims)
	square := 0.0
	for i := range v {
		x := random.NormFloat64()
		v[i] = float32(x)
		square += x * x
	}
	for i := range v {
		v[i] /= float32(math.Sqrt(square))
	}
	return v
}

// table is the declaration; columns go by name.
func (k kind) table() stream.Table {
	columns := []stream.Field{{Name: "n", Type: stream.TypeInt}, {Name: "path", Type: stream.TypeString}, {Name: "text", Type: stream.TypeString}}
	if k.dims > 0 {
		columns = append([]stream.Field{{Name: "embedding", Type: stream.VectorType(stream.F32, k.dims)}}, columns...)
	}
	return stream.Table{Name: "pages", Columns: columns}
}

// batch is what a delivery gives a sink: units of eight rows.
func batch(rows []row) stream.Batch {
	b := stream.Batch{From: rows[0].offset, To: rows[0].offset + int64(len(rows))}
	for i, r := range rows {
		w := stream.RowWrite{RowID: stream.RowID{Table: "pages", Document: r.document, Key: r.key},
			Version: stream.Version{Generation: 1, Offset: r.offset}, Lineage: []byte(lineage),
			Columns: []stream.Value{stream.IntOf(r.n), stream.StringOf(r.path), stream.StringOf(r.text)}}
		if r.vector != nil {
			w.Columns = append([]stream.Value{stream.VectorOf(r.vector)}, w.Columns...)
		}
		if i%8 == 0 {
			b.Units = append(b.Units, stream.Unit{})
		}
		u := &b.Units[len(b.Units)-1]
		u.Rows = append(u.Rows, w)
	}
	return b
}

func (r row) version() int64 { return stream.Version{Generation: 1, Offset: r.offset}.Pack() }
