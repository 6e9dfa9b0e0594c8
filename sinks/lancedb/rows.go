package lancedb

import (
	"fmt"
	"math"
	"time"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/freshet-dev/freshet/sinks/guard"
	"github.com/freshet-dev/freshet/stream"
)

// batch returns rows, and tombstones, as they lie in the table.
func (t *table) batch(items []guard.Item) (arrow.RecordBatch, error) {
	for _, i := range items {
		if err := t.sound(i); err != nil {
			return nil, err
		}
	}
	b := array.NewRecordBuilder(memory.DefaultAllocator, t.schema)
	defer b.Release()
	exact := make([][]stream.Entry, len(items))
	columns := make([]arrow.Array, t.schema.NumFields())
	for n, c := range t.columns {
		field := len(ownFields) + n
		columns[field] = t.values(b.Field(field), items, n)
		for row, i := range items {
			if !i.Delete && !valueAt(columns[field], row, c.Type).Equal(i.Columns[n]) {
				exact[row] = append(exact[row], stream.Entry{Key: c.Name, Value: i.Columns[n]})
			}
		}
	}
	for row, i := range items {
		appendOwn(b, i, exact[row])
	}
	for n := range ownFields {
		columns[n] = b.Field(n).NewArray()
	}
	return array.NewRecordBatch(t.schema, columns, int64(len(items))), nil
}

// values builds a column, the n-th of the table's own.
func (t *table) values(b array.Builder, items []guard.Item, n int) arrow.Array {
	for _, i := range items {
		if i.Delete {
			b.AppendNull()
		} else {
			appendValue(b, i.Columns[n], t.columns[n].Type)
		}
	}
	return b.NewArray()
}

// appendOwn appends what guards a row, in the order of ownFields.
func appendOwn(b *array.RecordBuilder, i guard.Item, exact []stream.Entry) {
	for n, text := range []string{rowID(i.Document, i.Key), i.Document, i.Key} {
		b.Field(n).(*array.StringBuilder).Append(text)
	}
	b.Field(3).(*array.Int64Builder).Append(i.Version.Pack())
	b.Field(4).(*array.Int64Builder).Append(i.Epoch)
	b.Field(5).(*array.Int32Builder).Append(i.Partition)
	b.Field(6).(*array.BooleanBuilder).Append(i.Delete)
	b.Field(7).(*array.Int64Builder).Append(i.At.UnixMilli())
	if i.Delete {
		b.Field(8).AppendNull()
	} else {
		b.Field(8).(*array.StringBuilder).Append(string(i.Lineage))
	}
	if len(exact) == 0 {
		b.Field(9).AppendNull()
	} else {
		b.Field(9).(*array.BinaryBuilder).Append(stream.AppendValue(nil, stream.MapOf(exact...)))
	}
}

// sound refuses a row that the table can't hold.
func (t *table) sound(i guard.Item) error {
	for _, part := range []string{i.Document, i.Key, string(i.Lineage)} {
		if !utf8.ValidString(part) {
			return t.faulty(i, fmt.Errorf("its ID, the row's key or its lineage, %.80q, is not UTF-8, which LanceDB can't keep", part))
		}
	}
	if i.Delete {
		return nil
	}
	for n, c := range t.columns {
		if v := i.Columns[n]; !fits(v, c.Type) {
			return t.faulty(i, fmt.Errorf("column %s: a %s in a column of %s", c.Name, v.Kind(), c.Type))
		}
	}
	return nil
}

func (t *table) faulty(i guard.Item, err error) error {
	return &stream.Error{Op: "write to table " + t.As, Doc: i.Document, Kind: stream.Usage, Err: err}
}

func fits(v stream.Value, t stream.Type) bool {
	if v.IsNull() || t.Kind == stream.Dynamic || t.Kind == stream.Null {
		return true
	}
	if t.Kind == stream.Vector {
		return v.Kind() == t.Kind && v.Elem() == t.Element && v.Dims() == t.Dims
	}
	return v.Kind() == t.Kind
}

// answer is a batch of rows as it was read; its methods give the zero value where a column is absent or of another type.
type answer struct{ arrow.RecordBatch }

func (a answer) column(name string) arrow.Array {
	if at := a.Schema().FieldIndices(name); len(at) == 1 {
		return a.Column(at[0])
	}
	return nil
}

func (a answer) int(name string, row int) int64 {
	if c, ok := a.column(name).(*array.Int32); ok {
		return int64(c.Value(row))
	}
	return valueAt(a.column(name), row, stream.TypeInt).Int()
}

func (a answer) text(name string, row int) string {
	return valueAt(a.column(name), row, stream.TypeString).Str()
}

// identity is what row it is.
func (a answer) identity(row int) stream.RowID {
	return stream.RowID{Document: a.text(colDocument, row), Key: a.text(colKey, row)}
}

// row undoes batch.
func (t *table) row(a answer, row int) guard.Item {
	i := guard.Item{Partition: int32(a.int(colPartition, row)), Epoch: a.int(colEpoch, row), At: time.UnixMilli(a.int(colAt, row))}
	i.RowID, i.Version, i.Lineage = a.identity(row), stream.Unpack(a.int(colVersion, row)), []byte(a.text(colLineage, row))
	i.Table, i.Delete = t.As, valueAt(a.column(colDeleted), row, stream.TypeBool).Bool()
	exact, err := stream.DecodeValue([]byte(valueAt(a.column(colExact), row, stream.TypeBytes).Str()))
	if err != nil {
		exact = stream.Value{} // none, or somebody changed it: the columns decide
	}
	i.Columns = make([]stream.Value, len(t.columns))
	for n, c := range t.columns {
		i.Columns[n] = c.value(valueAt(a.column(c.as), row, c.Type), exact)
	}
	return i
}

// value prefers what was kept exactly, unless the column no longer holds what was written with it.
func (c column) value(held, exact stream.Value) stream.Value {
	kept, found := exact.Get(c.Name)
	if !found {
		return held
	}
	b := array.NewBuilder(memory.DefaultAllocator, arrowType(c.Type))
	defer b.Release()
	appendValue(b, kept, c.Type)
	if !valueAt(b.NewArray(), 0, c.Type).Equal(held) {
		return held
	}
	return kept
}

// distance is what a search found a row at.
func (a answer) distance(row int) float64 {
	if c, ok := a.column("_distance").(*array.Float32); ok {
		return float64(c.Value(row))
	}
	return math.NaN()
}
