package stream

import (
	"bytes"
	"math/big"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"pgregory.net/rapid"
)

// plain turns a value into what the CBOR library encodes by itself.
func plain(v Value) any {
	switch v.kind {
	case Bool:
		return v.Bool()
	case Int:
		return v.Int()
	case Double:
		return v.Double()
	case String:
		return v.s
	case Bytes:
		return []byte(v.s)
	case Timestamp:
		return cbor.Tag{Number: tagTimestamp, Content: int64(v.n)}
	case Decimal:
		u, scale := v.Decimal()
		return cbor.Tag{Number: tagDecimal, Content: []any{-scale, u}}
	case Vector:
		return cbor.Tag{Number: elemTag[v.elem], Content: []byte(v.s)}
	case Sparse:
		return cbor.Tag{Number: tagSparse, Content: []byte(v.s)}
	case MultiVector:
		return cbor.Tag{Number: tagMulti, Content: []any{[]int{len(v.s) / 4 / int(v.n), int(v.n)}, cbor.Tag{Number: tagF32, Content: []byte(v.s)}}}
	case List:
		items := make([]any, v.Len())
		for i := range items {
			items[i] = plain(v.At(i))
		}
		return items
	case Map:
		m := map[any]any{}
		for _, e := range v.Entries() {
			m[e.Key] = plain(e.Value)
		}
		return m
	}
	return nil
}

func anyValue(depth int) *rapid.Generator[Value] {
	kinds := []*rapid.Generator[Value]{
		rapid.Just(Value{}),
		rapid.Map(rapid.Bool(), BoolOf),
		rapid.Map(rapid.Int64(), IntOf),
		rapid.Map(rapid.Float64(), DoubleOf),
		rapid.Map(rapid.Float32(), func(f float32) Value { return DoubleOf(float64(f)) }),
		rapid.Map(rapid.String(), StringOf),
		rapid.Map(rapid.SliceOf(rapid.Byte()), BytesOf),
		rapid.Map(rapid.Int64(), func(ns int64) Value { return Value{kind: Timestamp, n: uint64(ns)} }),
		rapid.Map(rapid.SliceOf(rapid.Float32()), VectorOf),
		rapid.Custom(func(t *rapid.T) Value {
			u, _ := new(big.Int).SetString(rapid.StringMatching(`-?[1-9][0-9]{0,40}`).Draw(t, "unscaled"), 10)
			return DecimalOf(u, rapid.IntRange(-5, 40).Draw(t, "scale"))
		}),
		rapid.Map(rapid.Int64(), func(i int64) Value { return DecimalOf(big.NewInt(i), 2) }),
		rapid.Custom(func(t *rapid.T) Value {
			v, err := MultiVectorOf(2, rapid.SliceOfN(rapid.Float32(), 6, 6).Draw(t, "flat"))
			if err != nil {
				t.Fatal(err)
			}
			return v
		}),
	}
	if depth > 0 {
		kinds = append(kinds,
			rapid.Map(rapid.SliceOfN(rapid.Deferred(func() *rapid.Generator[Value] { return anyValue(depth - 1) }), 0, 30), func(v []Value) Value { return ListOf(v...) }),
			rapid.Map(rapid.MapOfN(rapid.String(), rapid.Deferred(func() *rapid.Generator[Value] { return anyValue(depth - 1) }), 0, 30), func(m map[string]Value) Value {
				var entries []Entry
				for k, v := range m {
					entries = append(entries, Entry{Key: k, Value: v})
				}
				return MapOf(entries...)
			}))
	}
	return rapid.OneOf(kinds...)
}

// TestEncodingIsTheLibrarys: the hand-written encoder gives, byte for byte, what the CBOR library gives in its
// deterministic mode.
func TestEncodingIsTheLibrarys(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := anyValue(3).Draw(t, "value")
		want, err := encMode.Marshal(plain(v))
		if err != nil {
			t.Fatal(err)
		}
		if got := AppendValue(nil, v); !bytes.Equal(got, want) {
			t.Fatalf("%s\ngot  %x\nwant %x", v, got, want)
		}
	})
}

func BenchmarkAppendValue(b *testing.B) {
	v := MapOf(Entry{"id", IntOf(12345)}, Entry{"name", StringOf("a name")}, Entry{"note", StringOf(string(make([]byte, 800)))},
		Entry{"price", DoubleOf(12.5)}, Entry{"paid", BoolOf(true)}, Entry{"at", Value{kind: Timestamp, n: 1700000000000000000}})
	var buf []byte
	for b.Loop() {
		buf = AppendValue(buf[:0], v)
	}
}
