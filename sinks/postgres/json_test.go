package postgres

import (
	"math"
	"math/big"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/freshet-dev/freshet/stream"
)

// TestJSONRoundTrip: what appendJSON writes of a value, parseJSON reads back, given the value's type.
func TestJSONRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		typ, v := anyTyped(t, 3)
		text, err := appendJSON(nil, v)
		if err != nil {
			t.Fatal(err)
		}
		got, err := parseJSON(string(text), typ)
		if err != nil || !got.Equal(v) {
			t.Fatalf("%s of type %s came back as %s (%v)", text, typ, got, err)
		}
	})
}

func anyTyped(t *rapid.T, depth int) (stream.Type, stream.Value) {
	kinds := []stream.Kind{stream.Null, stream.Bool, stream.Int, stream.Double, stream.Decimal, stream.String, stream.Bytes, stream.Timestamp,
		stream.Vector, stream.List, stream.Map}
	if depth == 0 {
		kinds = kinds[:9]
	}
	switch kind := rapid.SampledFrom(kinds).Draw(t, "kind"); kind {
	case stream.Bool:
		return stream.TypeBool, stream.BoolOf(rapid.Bool().Draw(t, "bool"))
	case stream.Int:
		return stream.TypeInt, stream.IntOf(rapid.Int64().Draw(t, "int"))
	case stream.Double:
		return stream.TypeDouble, stream.DoubleOf(rapid.Float64().Filter(notMinusZero).Draw(t, "double"))
	case stream.Decimal:
		scale := rapid.IntRange(0, 9).Draw(t, "scale")
		return stream.Type{Kind: stream.Decimal, Scale: scale}, stream.DecimalOf(big.NewInt(rapid.Int64().Draw(t, "unscaled")), scale)
	case stream.String:
		return stream.TypeString, stream.StringOf(text(t))
	case stream.Bytes:
		return stream.TypeBytes, stream.BytesOf(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))
	case stream.Timestamp:
		return stream.TypeTimestamp, stream.TimestampOf(time.Unix(0, rapid.Int64().Draw(t, "ns")))
	case stream.Vector:
		floats := rapid.SliceOfN(rapid.Float32().Filter(notMinusZero), 1, 4).Draw(t, "vector")
		return stream.VectorType(stream.F32, len(floats)), stream.VectorOf(floats)
	case stream.List:
		elem, v := anyTyped(t, depth-1)
		return stream.ListType(elem), stream.ListOf(v, v, stream.Value{})
	case stream.Map:
		a, x := anyTyped(t, depth-1)
		b, y := anyTyped(t, depth-1)
		return stream.MapType(stream.Field{Name: "a", Type: a}, stream.Field{Name: "b", Type: b}),
			stream.MapOf(stream.Entry{Key: "a", Value: x}, stream.Entry{Key: "b", Value: y})
	}
	return stream.Type{}, stream.Value{}
}

// notMinusZero leaves out the one number that jsonb does not have; TestJSONOfMinusZero says what becomes of it.
func notMinusZero[F float32 | float64](f F) bool { return f != 0 || !math.Signbit(float64(f)) }

func text(t *rapid.T) string {
	return rapid.StringOf(rapid.Rune().Filter(func(r rune) bool { return r != 0 })).Draw(t, "text")
}

// TestJSONOfDynamic: without a type, numbers keep the one thing that JSON can tell, the point.
func TestJSONOfDynamic(t *testing.T) {
	for _, v := range []stream.Value{stream.IntOf(math.MaxInt64), stream.DoubleOf(1), stream.DoubleOf(-1e18), stream.DoubleOf(1e19),
		stream.DoubleOf(1e300), stream.DoubleOf(5e-324), stream.StringOf("NaN"), stream.ListOf(), stream.MapOf()} {
		text, err := appendJSON(nil, v)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := parseJSON(string(text), stream.TypeDynamic); err != nil || !got.Equal(v) {
			t.Errorf("%s %s came back as %s %s (%v)", v.Kind(), text, got.Kind(), got, err)
		}
	}
}

func TestJSONOfMinusZero(t *testing.T) {
	zero := math.Copysign(0, -1)
	v := stream.ListOf(stream.DoubleOf(zero), stream.VectorOf([]float32{1, float32(zero)}))
	if got, err := appendJSON(nil, v); err != nil || string(got) != "[0.0,[1,0]]" {
		t.Errorf("%s is written as %s (%v)", v, got, err)
	}
}

func FuzzParseJSON(f *testing.F) {
	f.Add(`{"a": [1, 2.5, "x", null, true]}`)
	f.Fuzz(func(t *testing.T, text string) {
		for _, typ := range []stream.Type{stream.TypeDynamic, stream.TypeBytes, stream.VectorType(stream.F32, 2), stream.ListType(stream.TypeTimestamp)} {
			_, _ = parseJSON(text, typ) // must not panic
		}
	})
}
