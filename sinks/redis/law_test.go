package redis

import (
	"math"
	"math/big"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/freshet-dev/freshet/sinks/guard"
	"github.com/freshet-dev/freshet/stream"
)

// TestRowIDs: no two rows share an ID, whatever their names hold, and an ID tells its row.
func TestRowIDs(t *testing.T) {
	part := rapid.OneOf(rapid.StringMatching(`[a:%3A25/]{0,6}`), rapid.String())
	rapid.Check(t, func(r *rapid.T) {
		document, key := part.Draw(r, "document"), part.Draw(r, "key")
		id := rowID(document, key)
		d, k, ok := identityOf(id)
		if d != document || k != key || !ok {
			r.Fatalf("%q, %q becomes %q and then %q, %q, %v", document, key, id, d, k, ok)
		}
	})
	for _, id := range []string{"a:", "50%", "a%3a", "100%25%"} {
		if d, k, ok := identityOf(id); ok {
			t.Errorf("%q counts as the row %q, %q", id, d, k)
		}
	}
}

// TestRows: every value comes back from its hash to the last bit, in a column of its own type and in one of another.
func TestRows(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		v := value(2).Draw(r, "value")
		types := []stream.Type{stream.TypeDynamic, stream.TypeString, stream.TypeInt, stream.TypeDouble, stream.MapType(), stream.ListType(stream.TypeDynamic),
			stream.VectorType(stream.F32, 2), stream.TypeBytes, stream.TypeTimestamp, {Kind: stream.Decimal}, {Kind: v.Kind(), Element: v.Elem()}}
		c := stream.Field{Name: "v", Type: rapid.SampledFrom(types).Draw(r, "type")}
		tab, err := newTable("p", stream.TargetTable{Table: stream.Table{Name: "t", Columns: []stream.Field{c}}})
		if err != nil {
			r.Fatal(err)
		}
		item := guard.Item{Partition: 3, Epoch: 7}
		item.Document, item.Key, item.Version, item.Columns = "d", "k", stream.Version{Generation: 1, Offset: 5}, []stream.Value{v}
		held := map[string]string{}
		fields := tab.fields(item)
		for n := 0; n < len(fields); n += 2 {
			held[fields[n]] = fields[n+1]
		}
		got := tab.row("d", "k", held)
		if !got.Columns[0].Equal(v) || got.Version != item.Version || got.Epoch != 7 || got.Partition != 3 {
			r.Fatalf("%s in a column of %s came back as %+v", v, c.Type, got)
		}
		if _, kept := held[exactField]; kept && c.Type.Kind == v.Kind() && isPlain(v) {
			r.Fatalf("%s is kept twice in a column of %s", v, c.Type)
		}
		if held["v"] += "x"; tab.row("d", "k", held).Columns[0].Equal(v) {
			r.Fatalf("%s reads as it was written after an edit by hand", v)
		}
	})
}

// isPlain reports whether the text of a value tells it.
func isPlain(v stream.Value) bool {
	switch v.Kind() {
	case stream.Bool, stream.Int, stream.Double, stream.String, stream.Bytes, stream.Timestamp, stream.Vector:
		return true
	}
	return false
}

// value draws values that nest so deep.
func value(depth int) *rapid.Generator[stream.Value] {
	plain := []*rapid.Generator[stream.Value]{
		rapid.Map(rapid.Bool(), stream.BoolOf), rapid.Map(rapid.Int64(), stream.IntOf), rapid.Map(rapid.Float64(), stream.DoubleOf),
		rapid.Map(rapid.String(), stream.StringOf), rapid.Map(rapid.SliceOf(rapid.Byte()), stream.BytesOf),
		rapid.Just(stream.DoubleOf(math.NaN())), rapid.Just(stream.DoubleOf(math.Inf(-1))), rapid.Just(stream.DoubleOf(math.Copysign(0, -1))),
		rapid.Map(rapid.Int64(), func(n int64) stream.Value { return stream.TimestampOf(time.Unix(0, n)) }),
		rapid.Map(rapid.Int64(), func(n int64) stream.Value { return stream.DecimalOf(big.NewInt(n), int(n%5+5)%5) }),
		rapid.Map(rapid.SliceOfN(rapid.Float32(), 1, 4), stream.VectorOf),
		rapid.Map(rapid.SliceOfN(rapid.Float32(), 4, 4), func(f []float32) stream.Value {
			v, _ := stream.MultiVectorOf(2, f)
			return v
		}),
		rapid.Map(rapid.Float32(), func(f float32) stream.Value {
			v, _ := stream.SparseOf([]uint32{3, 70_000}, []float32{f, 1})
			return v
		}),
	}
	if depth == 0 {
		return rapid.OneOf(plain...)
	}
	items := rapid.SliceOfN(value(depth-1), 0, 3)
	return rapid.OneOf(append(plain, rapid.Map(items, func(v []stream.Value) stream.Value { return stream.ListOf(v...) }),
		rapid.Map(items, func(v []stream.Value) stream.Value {
			var entries []stream.Entry
			for n, item := range v {
				entries = append(entries, stream.Entry{Key: strings.Repeat("k", n), Value: item})
			}
			return stream.MapOf(entries...)
		}))...)
}

// TestFits: versions of servers, by what they say of themselves.
func TestFits(t *testing.T) {
	for info, want := range map[string]bool{"7.0.15": true, "8.4.0": true, "7.2.4": true, "10.0.0": true, "6.2.14": false, "": false, "x": false} {
		if err := fits(map[string]string{"redis_version": info}); (err == nil) != want {
			t.Errorf("a server of version %q gives %v", info, err)
		}
	}
	for policy, want := range map[string]bool{"noeviction": true, "volatile-lru": true, "allkeys-lru": false, "allkeys-random": false} {
		if err := fits(map[string]string{"redis_version": "7.0.0", "maxmemory_policy": policy}); (err == nil) != want {
			t.Errorf("a server of policy %s gives %v", policy, err)
		}
	}
}

// TestPattern: names are matched as they are.
func TestPattern(t *testing.T) {
	if got, want := pattern(`a*b?[c]\:`), `a\*b\?\[c\]\\:*`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
