package feast

import (
	"encoding/json"
	"math"
	"math/big"
	"regexp"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/freshet-dev/freshet/sinks/guard"
	"github.com/freshet-dev/freshet/stream"
)

// TestNames: names are what references to features take, and no two things share one.
func TestNames(t *testing.T) {
	part := rapid.OneOf(rapid.StringMatching(`[aA:%@_]{0,5}`), rapid.String())
	rows, names := map[string][2]string{}, map[string]string{}
	rapid.Check(t, func(r *rapid.T) {
		document, key := part.Draw(r, "document"), part.Draw(r, "key")
		name := escaped(document)
		if before, found := names[name]; found && before != document {
			r.Fatalf("%q and %q share the name %q", before, document, name)
		}
		if regexp.MustCompile(`^_|[:@]|__`).MatchString(name) || name == timestampField {
			r.Fatalf("a feature of %q would be %q", document, name)
		}
		id := rowID(document, key)
		if before, found := rows[id]; found && before != [2]string{document, key} {
			r.Fatalf("%q and %q, %q share the ID %q", before, document, key, id)
		}
		names[name], rows[id] = document, [2]string{document, key}
	})
}

// TestRows: every value comes back from its features to the last bit, in a column of its own type and in an untyped one, and an edit by hand shows.
func TestRows(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		v := value(2).Draw(r, "value")
		own := stream.Type{Kind: v.Kind(), Element: v.Elem(), Dims: v.Dims()}
		c := stream.Field{Name: "v", Type: rapid.SampledFrom([]stream.Type{stream.TypeDynamic, own}).Draw(r, "type")}
		tab, err := newTable("books", stream.TargetTable{Table: stream.Table{Name: "t", Columns: []stream.Field{c}}})
		if err != nil {
			r.Fatal(err)
		}
		item := guard.Item{At: time.UnixMilli(9)}
		item.Document, item.Key, item.Version, item.Columns = "d", "k", stream.Version{Generation: 1, Offset: 5}, []stream.Value{v}
		row, err := tab.row(item)
		if err != nil {
			r.Fatal(err)
		}
		got, found := tab.item(row)
		if !found || !got.Columns[0].Equal(v) || got.Version != item.Version || got.Document != "d" || got.Key != "k" {
			r.Fatalf("%s in a column of %s came back as %+v from %s", v, c.Type, got, row.values)
		}
		last := len(row.values) - 1
		if row.values[last] != nil && !json.Valid(row.values[last]) {
			r.Fatalf("%s is no JSON", row.values[last])
		}
		row.values[last] = json.RawMessage(`"edited by hand"`)
		if got, _ = tab.item(row); got.Columns[0].Equal(v) {
			r.Fatalf("%s reads as it was written after an edit by hand", v)
		}
	})
}

// value draws values that nest so deep.
func value(depth int) *rapid.Generator[stream.Value] {
	raw := func(of stream.Element) func([]byte) stream.Value {
		return func(raw []byte) stream.Value {
			v, _ := stream.RawVectorOf(of, raw)
			return v
		}
	}
	plain := []*rapid.Generator[stream.Value]{
		rapid.Map(rapid.Int64(), stream.IntOf), rapid.Map(rapid.Float64(), stream.DoubleOf), rapid.Map(rapid.String(), stream.StringOf),
		rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) stream.Value { return stream.StringOf(string(b)) }),
		rapid.Map(rapid.SliceOf(rapid.Byte()), stream.BytesOf), rapid.Just(stream.BoolOf(true)),
		rapid.SampledFrom([]stream.Value{stream.DoubleOf(math.NaN()), stream.DoubleOf(math.Inf(1)), stream.DoubleOf(math.Copysign(0, -1))}),
		rapid.Map(rapid.Int64(), func(n int64) stream.Value { return stream.TimestampOf(time.Unix(0, n)) }),
		rapid.Map(rapid.Int64(), func(n int64) stream.Value { return stream.DecimalOf(big.NewInt(n), int(n%5+5)%5) }),
		rapid.Map(rapid.SliceOfN(rapid.Float32(), 2, 2), stream.VectorOf),
		rapid.Map(rapid.SliceOfN(rapid.Byte(), 4, 4), raw(stream.F16)), rapid.Map(rapid.SliceOfN(rapid.Byte(), 3, 3), raw(stream.I8)),
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
