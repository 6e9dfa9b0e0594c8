package blackbox

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/freshet-dev/freshet/stream"
)

func field(name string, t stream.Type) stream.Field { return stream.Field{Name: name, Type: t} }

func decimalType(scale int) stream.Type { return stream.Type{Kind: stream.Decimal, Scale: scale} }

func TestShape(t *testing.T) {
	list := stream.ListType(stream.VectorType(stream.F32, 2))
	for want, typ := range map[string]stream.Type{
		`"string?"`:          stream.TypeString.OrNull(),
		`"vector(3)"`:        stream.VectorType(stream.F32, 3),
		`["vector(2)"]`:      list,
		`"list(vector(2))?"`: list.OrNull(),
		`"dyn"`:              stream.TypeDynamic,
		`"map"`:              stream.MapType(),
		`{"a":"decimal(2)"}`: stream.MapType(field("a", decimalType(2))),
		`[{"a":["int?"]}]`:   stream.ListType(stream.MapType(field("a", stream.ListType(stream.TypeInt.OrNull())))),
	} {
		if got := Shape(typ); got != want || !json.Valid([]byte(got)) {
			t.Errorf("%s: %s, want %s", typ, got, want)
		}
	}
}

func TestValues(t *testing.T) {
	point := stream.MapType(field("x", stream.TypeInt), field("y", stream.TypeDouble.OrNull()))
	for _, c := range []struct {
		typ  stream.Type
		raw  string
		want stream.Value // of a refused one, null
		says string
	}{
		{stream.TypeBool, `true`, stream.BoolOf(true), ""},
		{stream.TypeBool, `1`, stream.Value{}, "it is a number, and declared bool"},
		{stream.TypeInt, `-9223372036854775808`, stream.IntOf(math.MinInt64), ""},
		{stream.TypeInt, `9223372036854775808`, stream.Value{}, "declared int"},
		{stream.TypeInt, `1.0`, stream.Value{}, "declared int"},
		{stream.TypeInt, `null`, stream.Value{}, "declare 'int?'"},
		{stream.TypeInt.OrNull(), `null`, stream.Value{}, ""},
		{stream.TypeDouble, `2`, stream.DoubleOf(2), ""},
		{stream.TypeDouble, `"NaN"`, stream.DoubleOf(math.NaN()), ""},
		{stream.TypeDouble, `"-Infinity"`, stream.DoubleOf(math.Inf(-1)), ""},
		{stream.TypeDouble, `"2"`, stream.Value{}, "declared double"},
		{decimalType(2), `"1.5"`, mustDecimal(t, "1.50"), ""},
		{decimalType(2), `1.25`, mustDecimal(t, "1.25"), ""},
		{decimalType(2), `"1.255"`, stream.Value{}, "declared decimal(2)"},
		{decimalType(2), `1e3`, stream.Value{}, "declared decimal(2)"},
		{stream.TypeString, `"x"`, stream.StringOf("x"), ""},
		{stream.TypeString, `7`, stream.Value{}, "declared string"},
		{stream.TypeBytes, `"AQI="`, stream.BytesOf([]byte{1, 2}), ""},
		{stream.TypeBytes, `"*"`, stream.Value{}, "declared bytes"},
		{stream.TypeTimestamp, `"2026-01-02T03:04:05Z"`, stream.TimestampOf(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)), ""},
		{stream.TypeTimestamp, `"9999-01-01T00:00:00Z"`, stream.Value{}, "declared timestamp"},
		{stream.ListType(stream.TypeInt), `[1,2]`, stream.ListOf(stream.IntOf(1), stream.IntOf(2)), ""},
		{stream.ListType(stream.TypeInt), `[1,"2"]`, stream.Value{}, "it[1] is a string"},
		{stream.ListType(stream.TypeInt), `{}`, stream.Value{}, "it is an object"},
		{point, `{"x":1,"y":2}`, stream.MapOf(stream.Entry{Key: "x", Value: stream.IntOf(1)}, stream.Entry{Key: "y", Value: stream.DoubleOf(2)}), ""},
		{point, `{"x":1}`, stream.MapOf(stream.Entry{Key: "x", Value: stream.IntOf(1)}, stream.Entry{Key: "y"}), ""},
		{point, `{"y":1}`, stream.Value{}, "it.x is null"},
		{point, `{"x":1,"z":1}`, stream.Value{}, `"z", which isn't declared`},
		{stream.VectorType(stream.F32, 2), `[1,2.5]`, stream.VectorOf([]float32{1, 2.5}), ""},
		{stream.VectorType(stream.F32, 2), `[1]`, stream.Value{}, "1 dimensions"},
		{stream.VectorType(stream.F32, 2), `[1,1e300]`, stream.Value{}, "it[1] is no number"},
		{stream.TypeDynamic, `{"a":[1,2.5,null,"x",true]}`, stream.MapOf(stream.Entry{Key: "a", Value: stream.ListOf(stream.IntOf(1),
			stream.DoubleOf(2.5), stream.Value{}, stream.StringOf("x"), stream.BoolOf(true))}), ""},
	} {
		got, err := valueOf([]byte(c.raw), c.typ)
		switch {
		case c.says == "" && (err != nil || !got.Equal(c.want)):
			t.Errorf("%s as %s: %v, %v; want %v", c.raw, c.typ, got, err, c.want)
		case c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)):
			t.Errorf("%s as %s: %v, %v; want %q", c.raw, c.typ, got, err, c.says)
		}
	}
}

func mustDecimal(t *testing.T, text string) stream.Value {
	t.Helper()
	v, ok := stream.ParseDecimal(text)
	if !ok {
		t.Fatal(text)
	}
	return v
}

// A service that gives back what it gets gives the same values back.
func TestItemsComeBack(t *testing.T) {
	typ := stream.ListType(stream.MapType(field("b", stream.TypeBytes), field("d", stream.TypeDouble), field("n", stream.TypeInt.OrNull()),
		field("s", stream.TypeString), field("t", stream.TypeTimestamp), field("v", stream.VectorType(stream.F32, 2))))
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 3).Draw(t, "n")
		items := make([]stream.Value, n)
		for i := range items {
			items[i] = stream.MapOf(
				stream.Entry{Key: "b", Value: stream.BytesOf(rapid.SliceOf(rapid.Byte()).Draw(t, "b"))},
				stream.Entry{Key: "d", Value: stream.DoubleOf(rapid.Float64().Draw(t, "d"))},
				stream.Entry{Key: "n", Value: stream.IntOf(rapid.Int64().Draw(t, "n"))},
				stream.Entry{Key: "s", Value: stream.StringOf(rapid.String().Draw(t, "s"))},
				stream.Entry{Key: "t", Value: stream.TimestampOf(time.Unix(0, rapid.Int64().Draw(t, "t")))},
				stream.Entry{Key: "v", Value: stream.VectorOf([]float32{rapid.Float32().Draw(t, "v"), 1})})
		}
		in := stream.ListOf(items...)
		d := Declared{Op: "echo", Returns: typ}
		raw, at, failed := d.Items([]stream.Value{in})
		if len(failed) > 0 || len(at) != 1 {
			t.Fatal(failed)
		}
		var back []json.RawMessage
		if err := json.Unmarshal(raw, &back); err != nil {
			t.Fatal(err)
		}
		out, err := d.Read([]Result{{Value: back[0]}}, 1, nil)
		if err != nil || !out[0].Equal(in) {
			t.Fatalf("%v came back as %v, %v", in, out, err)
		}
	})
}

// FuzzRead: whatever an answer holds, it is read as the type or refused.
func FuzzRead(f *testing.F) {
	for _, s := range []string{`{"value":[{"a":1}]}`, `{"value":null}`, `{"error":{"kind":"transient","retry_after":-1}}`, `{}`, `{"value":[[1e999]]}`} {
		f.Add(s)
	}
	d := Declared{Op: "x", Returns: stream.ListType(stream.MapType(field("a", decimalType(2)), field("v", stream.VectorType(stream.F32, 1).OrNull())))}
	f.Fuzz(func(t *testing.T, text string) {
		var r Result
		if json.Unmarshal([]byte(text), &r) != nil {
			return
		}
		values, err := d.Read([]Result{r}, 1, nil)
		var some *stream.BatchError
		if err == nil && values[0].Kind() != stream.List || err != nil && !errors.As(err, &some) && !errors.Is(err, ErrForm) {
			t.Fatalf("%v, %v", values, err)
		}
	})
}
