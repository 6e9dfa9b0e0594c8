package sqlite

import (
	"math/big"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/freshet-dev/freshet/stream"
)

// sample is a value with a type that describes it.
type sample struct {
	stream.Type
	stream.Value
}

// TestValuesComeBack: decode undoes encode for every kind, as a column and inside lists and maps.
func TestValuesComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSample(t, 3)
		x, err := encode(s.Value, s.Type)
		if err != nil {
			t.Fatalf("encode %s: %v", s.Value, err)
		}
		back, err := decode(x, s.Type)
		if err != nil || !back.Equal(s.Value) {
			t.Fatalf("%s of type %s came back as %s: %v", s.Value, s.Type, back, err)
		}
	})
}

func drawSample(t *rapid.T, depth int) sample {
	choices := 9
	if depth > 0 {
		choices = 11
	}
	switch rapid.IntRange(0, choices).Draw(t, "kind") {
	case 0:
		return sample{stream.TypeString.OrNull(), stream.Value{}}
	case 1:
		return sample{stream.TypeBool, stream.BoolOf(rapid.Bool().Draw(t, "bool"))}
	case 2:
		return sample{stream.TypeInt, stream.IntOf(rapid.Int64().Draw(t, "int"))}
	case 3:
		return sample{stream.TypeDouble, stream.DoubleOf(rapid.Float64().Draw(t, "double"))}
	case 4:
		scale := rapid.IntRange(0, 20).Draw(t, "scale")
		return sample{stream.Type{Kind: stream.Decimal, Scale: scale}, stream.DecimalOf(big.NewInt(rapid.Int64().Draw(t, "digits")), scale)}
	case 5:
		return sample{stream.TypeBytes, stream.BytesOf(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))}
	case 6:
		return sample{stream.TypeTimestamp, stream.TimestampOf(time.Unix(0, rapid.Int64().Draw(t, "ns")))}
	case 7:
		f := rapid.SliceOfN(rapid.Float32(), 1, 5).Draw(t, "vector")
		return sample{stream.VectorType(stream.F32, len(f)), stream.VectorOf(f)}
	case 8, 9:
		return sample{stream.TypeString, stream.StringOf(rapid.String().Draw(t, "string"))}
	case 10:
		return drawList(t, depth)
	}
	return drawMap(t, depth)
}

// drawList repeats one element, so that the elements have one type.
func drawList(t *rapid.T, depth int) sample {
	elem := drawSample(t, depth-1)
	items := make([]stream.Value, rapid.IntRange(0, 3).Draw(t, "length"))
	for i := range items {
		items[i] = elem.Value
	}
	return sample{stream.ListType(elem.Type), stream.ListOf(items...)}
}

func drawMap(t *rapid.T, depth int) sample {
	var fields []stream.Field
	var entries []stream.Entry
	for _, key := range rapid.SliceOfNDistinct(rapid.String(), 1, 4, rapid.ID[string]).Draw(t, "keys") {
		s := drawSample(t, depth-1)
		fields = append(fields, stream.Field{Name: key, Type: s.Type})
		entries = append(entries, stream.Entry{Key: key, Value: s.Value})
	}
	return sample{stream.MapType(fields...), stream.MapOf(entries...)}
}

// TestOtherVectors: vectors that are not searched are kept as they are.
func TestOtherVectors(t *testing.T) {
	half, err := stream.RawVectorOf(stream.F16, []byte{1, 2, 3, 4})
	small, err2 := stream.RawVectorOf(stream.I8, []byte{1, 255})
	sparse, err3 := stream.SparseOf([]uint32{3, 900}, []float32{0.5, -1})
	multi, err4 := stream.MultiVectorOf(2, []float32{1, 2, 3, 4})
	if err != nil || err2 != nil || err3 != nil || err4 != nil {
		t.Fatal(err, err2, err3, err4)
	}
	for _, s := range []sample{{stream.VectorType(stream.F16, 2), half}, {stream.VectorType(stream.I8, 2), small},
		{stream.Type{Kind: stream.Sparse}, sparse}, {stream.Type{Kind: stream.MultiVector, Dims: 2}, multi}} {
		x, err := encode(s.Value, s.Type)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := decode(x, s.Type); err != nil || !back.Equal(s.Value) {
			t.Errorf("%s came back as %s: %v", s.Value, back, err)
		}
	}
}

// TestEncodeRefuses: what SQLite can't hold as it is, is never altered silently.
func TestEncodeRefuses(t *testing.T) {
	half, _ := stream.RawVectorOf(stream.F16, []byte{1, 2})
	for name, s := range map[string]sample{
		"another kind than declared":  {stream.TypeInt, stream.StringOf("1")},
		"a half vector inside a list": {stream.ListType(stream.VectorType(stream.F16, 1)), stream.ListOf(half)},
		"broken UTF-8 inside JSON":    {stream.TypeDynamic, stream.StringOf("\xff")},
	} {
		if x, err := encode(s.Value, s.Type); err == nil {
			t.Errorf("%s was encoded as %v", name, x)
		}
	}
}
