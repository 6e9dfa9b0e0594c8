package opensearch

import (
	"encoding/json"
	"math"
	"math/big"
	"regexp"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/freshet-dev/freshet/sinks/guard"
	"github.com/freshet-dev/freshet/sinks/jsonvalue"
	"github.com/freshet-dev/freshet/stream"
)

// TestNames: names of indexes, fields and documents are what the server takes, and no two things share one.
func TestNames(t *testing.T) {
	index := regexp.MustCompile(`^(%[0-9a-f]{2}|[a-z0-9])(%[0-9a-f]{2}|[a-z0-9._-])*$`)
	part := rapid.OneOf(rapid.StringMatching(`[aA:%.#_3/]{0,5}`), rapid.String(), rapid.StringN(200, 300, -1))
	of := [][2]string{}
	seen := map[string]int{}
	rapid.Check(t, func(r *rapid.T) {
		document, key := part.Draw(r, "document"), part.Draw(r, "key")
		if name := escaped(document); document != "" && !index.MatchString(name) {
			r.Fatalf("an index of %q would be %q", document, name)
		}
		if field := escapedField(document); regexp.MustCompile(`^_|\.`).MatchString(field) {
			r.Fatalf("a field of %q would be %q", document, field)
		}
		id := rowID(document, key)
		if id == "" || len(id) > maxID {
			r.Fatalf("row %q, %q has the ID %q", document, key, id)
		}
		if n, found := seen[id]; found && of[n] != [2]string{document, key} {
			r.Fatalf("%q and %q, %q share the ID %q", of[n], document, key, id)
		}
		seen[id] = len(of)
		of = append(of, [2]string{document, key})
	})
}

// TestRows: every value comes back from its document to the last bit, in a column of its own type and in an untyped one, and an edit by hand shows.
func TestRows(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		v := value(2).Draw(r, "value")
		own := stream.Type{Kind: v.Kind(), Element: v.Elem(), Dims: v.Dims()}
		c := stream.Field{Name: "v", Type: rapid.SampledFrom([]stream.Type{stream.TypeDynamic, own}).Draw(r, "type")}
		space := stream.Settings{Values: stream.MapOf(stream.Entry{Key: "space_type", Value: stream.StringOf(rapid.SampledFrom([]string{cosine, "l2"}).Draw(r, "space"))})}
		tab, err := newTable("p", stream.TargetTable{Table: stream.Table{Name: "t", Columns: []stream.Field{c}}, Settings: space})
		if err != nil {
			r.Fatal(err)
		}
		item := guard.Item{Partition: 3, Epoch: 7, At: time.UnixMilli(9)}
		item.Document, item.Key, item.Version, item.Columns = "d", "k", stream.Version{Generation: 1, Offset: 5}, []stream.Value{v}
		text, err := tab.document(item)
		if err != nil {
			r.Fatal(err)
		}
		var s source
		if err := json.Unmarshal(text, &s); err != nil {
			r.Fatalf("%s: %v", text, err)
		}
		got := tab.row(s)
		if !got.Columns[0].Equal(v) || got.Version != item.Version || got.Epoch != 7 || got.Partition != 3 || got.Document != "d" || got.Key != "k" || !got.At.Equal(item.At) {
			r.Fatalf("%s in a column of %s came back as %+v from %s", v, c.Type, got, text)
		}
		if s["v"] = json.RawMessage(`"edited by hand"`); tab.row(s).Columns[0].Equal(v) {
			r.Fatalf("%s reads as it was written after an edit by hand", v)
		}
	})
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
		rapid.Map(rapid.SliceOfN(rapid.Float32(), 2, 2), stream.VectorOf),
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

// TestVectorsThatAreKept: a vector that the index could not compare has no field.
func TestVectorsThatAreKept(t *testing.T) {
	near, far := &table{space: cosine}, &table{space: "l2"}
	for _, c := range []struct {
		floats []float32
		cosine bool
		l2     bool
	}{{[]float32{1, 2}, true, true}, {[]float32{0, 0}, false, true}, {[]float32{math.MaxFloat32, 1}, false, false}, {[]float32{1e-20, 0}, false, true},
		{[]float32{float32(math.NaN()), 1}, false, false}, {jsonvalue.Floats(stream.VectorOf([]float32{float32(math.Inf(1)), 1})), false, false}} {
		if near.comparable(c.floats) != c.cosine || far.comparable(c.floats) != c.l2 {
			t.Errorf("%v: cosine %v, l2 %v", c.floats, near.comparable(c.floats), far.comparable(c.floats))
		}
	}
}
