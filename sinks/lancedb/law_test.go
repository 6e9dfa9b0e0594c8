package lancedb

import (
	"math"
	"math/big"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"pgregory.net/rapid"

	"github.com/freshet-dev/freshet/sinks/guard"
	"github.com/freshet-dev/freshet/stream"
)

// TestNames: names of tables, columns and rows are what the server takes, and no two things share one.
func TestNames(t *testing.T) {
	table, column := regexp.MustCompile(`^[A-Za-z0-9_.-]*$`), regexp.MustCompile("^_|[.`]")
	part := rapid.OneOf(rapid.StringMatching("[aA:%.`_3/$]{0,5}"), rapid.String())
	tables, columns, rows := map[string]string{}, map[string]string{}, map[string][2]string{}
	rapid.Check(t, func(r *rapid.T) {
		name, key := part.Draw(r, "name"), part.Draw(r, "key")
		if as := escaped(name); !table.MatchString(as) || distinct(tables, as, name) {
			r.Fatalf("a table of %q would be %q", name, as)
		}
		if as := escapedColumn(name); column.MatchString(as) || distinct(columns, as, name) {
			r.Fatalf("a column of %q would be %q", name, as)
		}
		if as := rowID(name, key); distinct(rows, as, [2]string{name, key}) {
			r.Fatalf("row %q, %q shares the ID %q", name, key, as)
		}
	})
}

// distinct notes what has a name, and reports whether something else had it.
func distinct[K comparable](seen map[string]K, name string, of K) bool {
	was, found := seen[name]
	seen[name] = of
	return found && was != of
}

// TestRows: every value comes back from its row to the last bit, in a column of its own type and in an untyped one, and an edit by hand shows.
func TestRows(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		v := value(2).Draw(r, "value")
		own := stream.Type{Kind: v.Kind(), Element: v.Elem(), Dims: v.Dims(), Scale: v.Scale() + rapid.IntRange(-1, 1).Draw(r, "scale")}
		types := []stream.Type{stream.TypeDynamic, own}
		if v.Kind() == stream.List {
			types = append(types, stream.ListType(stream.TypeInt), stream.ListType(stream.TypeString))
		}
		c := stream.Field{Name: "v", Type: rapid.SampledFrom(types).Draw(r, "type")}
		tab, err := newTable(stream.TargetTable{Table: stream.Table{Name: "t", Columns: []stream.Field{c}}})
		if c.Type.Kind == stream.MultiVector && v.Dims() == 0 {
			return
		}
		if err != nil {
			r.Fatal(err)
		}
		item := guard.Item{Partition: 3, Epoch: 7, At: time.UnixMilli(9)}
		item.Document, item.Key, item.Version, item.Columns = "d", "k", stream.Version{Generation: 1, Offset: 5}, []stream.Value{v}
		batch, err := tab.batch([]guard.Item{item})
		if err != nil {
			r.Fatal(err)
		}
		got := tab.row(answer{batch}, 0)
		apart := got.RowID != (stream.RowID{Table: "t", Document: "d", Key: "k"}) || got.Version != item.Version || got.Epoch != 7 || got.Partition != 3
		if apart || !got.Columns[0].Equal(v) || !got.At.Equal(item.At) {
			r.Fatalf("%s in a column of %s came back as %+v from %v", v, c.Type, got, batch)
		}
		if after := tab.row(edited(answer{batch}), 0).Columns[0]; after.Equal(v) {
			r.Fatalf("%s reads as it was written after an edit by hand", v)
		}
	})
}

// edited is a batch whose last column somebody set to text, or to null where there was any.
func edited(a answer) answer {
	columns := slices.Clone(a.Columns())
	last := len(columns) - 1
	b := array.NewBuilder(memory.DefaultAllocator, columns[last].DataType())
	text, is := b.(*array.StringBuilder)
	switch {
	case is:
		text.Append("edited by hand")
	case columns[last].IsNull(0):
		b.AppendEmptyValue()
	default:
		b.AppendNull()
	}
	columns[last] = b.NewArray()
	return answer{array.NewRecordBatch(a.Schema(), columns, 1)}
}

// value draws values that nest so deep.
func value(depth int) *rapid.Generator[stream.Value] {
	plain := []*rapid.Generator[stream.Value]{
		rapid.Map(rapid.Int64(), stream.IntOf), rapid.Map(rapid.Float64(), stream.DoubleOf), rapid.Map(rapid.String(), stream.StringOf),
		rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) stream.Value { return stream.StringOf(string(b)) }),
		rapid.Map(rapid.SliceOf(rapid.Byte()), stream.BytesOf), rapid.Just(stream.BoolOf(true)),
		rapid.SampledFrom([]stream.Value{stream.DoubleOf(math.NaN()), stream.DoubleOf(math.Inf(1)), stream.DoubleOf(math.Copysign(0, -1))}),
		rapid.Map(rapid.Int64(), func(n int64) stream.Value { return stream.TimestampOf(time.Unix(0, n)) }),
		rapid.Map(rapid.Int64(), func(n int64) stream.Value { return stream.DecimalOf(big.NewInt(n), int(n%5+5)%5) }),
		rapid.Just(stream.DecimalOf(new(big.Int).Exp(big.NewInt(10), big.NewInt(38), nil), 1)),
		rapid.Map(rapid.SliceOfN(rapid.Float32(), 2, 2), stream.VectorOf),
		rapid.Map(rapid.SliceOfN(rapid.Float32(), 0, 3), func(f []float32) stream.Value {
			v, _ := stream.MultiVectorOf(1, f)
			return v
		}),
		rapid.Map(rapid.SliceOfN(rapid.Float32(), 0, 3), func(f []float32) stream.Value {
			v, _ := stream.SparseOf([]uint32{1, 5, math.MaxUint32}[:len(f)], f)
			return v
		}),
		rapid.Map(rapid.SliceOfN(rapid.Byte(), 4, 4), func(raw []byte) stream.Value {
			v, _ := stream.RawVectorOf(stream.F16, raw)
			return v
		}),
		rapid.Map(rapid.SliceOfN(rapid.Byte(), 3, 3), func(raw []byte) stream.Value {
			v, _ := stream.RawVectorOf(stream.I8, raw)
			return v
		}),
	}
	if depth == 0 {
		return rapid.OneOf(plain...)
	}
	nested := rapid.SliceOfN(value(depth-1), 0, 3)
	return rapid.OneOf(append(plain, rapid.Map(nested, func(v []stream.Value) stream.Value { return stream.ListOf(v...) }),
		rapid.Map(nested, func(v []stream.Value) stream.Value {
			var entries []stream.Entry
			for n, x := range v {
				entries = append(entries, stream.Entry{Key: string(rune('a' + n)), Value: x})
			}
			return stream.MapOf(entries...)
		}))...)
}
