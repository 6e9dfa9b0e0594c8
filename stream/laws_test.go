package stream_test

import (
	"bytes"
	"math"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/freshet-dev/freshet/stream"
)

// anyValue draws values of every kind, nested up to depth.
func anyValue(depth int) *rapid.Generator[stream.Value] {
	kinds := []*rapid.Generator[stream.Value]{
		rapid.Just(stream.Value{}),
		rapid.Map(rapid.Bool(), stream.BoolOf),
		rapid.Map(rapid.Int64(), stream.IntOf),
		rapid.Map(rapid.Float64(), stream.DoubleOf),
		rapid.Map(rapid.SampledFrom([]float64{0, math.Copysign(0, -1), math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64}), stream.DoubleOf),
		rapid.Map(rapid.String(), stream.StringOf),
		rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) stream.Value { return stream.StringOf(string(b)) }), // no UTF-8
		rapid.Map(rapid.SliceOf(rapid.Byte()), stream.BytesOf),
		rapid.Map(rapid.Int64(), func(n int64) stream.Value { return stream.TimestampOf(time.Unix(0, n)) }),
		rapid.Custom(drawDecimal), rapid.Custom(drawVector), rapid.Custom(drawSparse), rapid.Custom(drawMulti),
	}
	if depth > 0 {
		inner := anyValue(depth - 1)
		kinds = append(kinds,
			rapid.Map(rapid.SliceOfN(inner, 0, 4), func(v []stream.Value) stream.Value { return stream.ListOf(v...) }),
			rapid.Map(rapid.MapOfN(rapid.String(), inner, 0, 4), mapOf))
	}
	return rapid.OneOf(kinds...)
}

func mapOf(m map[string]stream.Value) stream.Value {
	var entries []stream.Entry
	for k, v := range m {
		entries = append(entries, stream.Entry{Key: k, Value: v})
	}
	return stream.MapOf(entries...)
}

func drawDecimal(t *rapid.T) stream.Value {
	u := new(big.Int).SetBytes(rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(t, "unscaled"))
	if rapid.Bool().Draw(t, "negative") {
		u.Neg(u)
	}
	return stream.DecimalOf(u, rapid.IntRange(-40, 40).Draw(t, "scale"))
}

func drawVector(t *rapid.T) stream.Value {
	elem := rapid.SampledFrom([]stream.Element{stream.F32, stream.F16, stream.I8}).Draw(t, "element")
	n := rapid.IntRange(0, 9).Draw(t, "dims") * elem.Size()
	v, err := stream.RawVectorOf(elem, rapid.SliceOfN(rapid.Byte(), n, n).Draw(t, "raw"))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func drawSparse(t *rapid.T) stream.Value {
	indices := rapid.SliceOfNDistinct(rapid.Uint32(), 0, 5, rapid.ID).Draw(t, "indices")
	slices.Sort(indices)
	v, err := stream.SparseOf(indices, rapid.SliceOfN(rapid.Float32(), len(indices), len(indices)).Draw(t, "values"))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func drawMulti(t *rapid.T) stream.Value {
	dims, count := rapid.IntRange(1, 4).Draw(t, "dims"), rapid.IntRange(0, 3).Draw(t, "count")
	v, err := stream.MultiVectorOf(dims, rapid.SliceOfN(rapid.Float32(), dims*count, dims*count).Draw(t, "flat"))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestEncodingRoundTrips(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := anyValue(3).Draw(t, "value")
		b := stream.AppendValue(nil, v)
		got, err := stream.DecodeValue(b)
		if err != nil || !got.Equal(v) || got.Kind() != v.Kind() || got.Dims() != v.Dims() || got.Raw() != v.Raw() {
			t.Fatalf("%s came back as %s: %v", v, got, err)
		}
		if again := stream.AppendValue([]byte("before"), got); !bytes.Equal(again, append([]byte("before"), b...)) {
			t.Fatalf("%x is encoded as %x after a round trip", b, again)
		}
		_ = v.String()
	})
}

// Equal values have equal bytes and fingerprints, others have neither.
func TestEqualityIsEqualityOfBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := anyValue(2).Draw(t, "a"), anyValue(2).Draw(t, "b")
		if rapid.Bool().Draw(t, "same") {
			b, _ = stream.DecodeValue(stream.AppendValue(nil, a))
		}
		same := bytes.Equal(stream.AppendValue(nil, a), stream.AppendValue(nil, b))
		if a.Equal(b) != same || b.Equal(a) != same || (stream.FingerprintOf(a) == stream.FingerprintOf(b)) != same {
			t.Fatalf("%s and %s: equal %t, equal bytes %t", a, b, a.Equal(b), same)
		}
	})
}

func TestMapsDoNotDependOnOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		keys := rapid.SliceOfNDistinct(rapid.String(), 0, 30, rapid.ID).Draw(t, "keys")
		var entries []stream.Entry
		for i, k := range keys {
			entries = append(entries, stream.Entry{Key: k, Value: stream.IntOf(int64(i))})
		}
		a := stream.MapOf(entries...)
		b := stream.MapOf(rapid.Permutation(entries).Draw(t, "order")...)
		if !a.Equal(b) || stream.FingerprintOf(a) != stream.FingerprintOf(b) {
			t.Fatalf("%s is not %s", a, b)
		}
		for i, k := range keys {
			if v, ok := a.Get(k); !ok || v.Int() != int64(i) {
				t.Fatalf("%q is %s", k, v)
			}
		}
		if !slices.IsSortedFunc(a.Entries(), func(x, y stream.Entry) int { return bytes.Compare([]byte(x.Key), []byte(y.Key)) }) {
			t.Fatalf("keys of %s are not in order", a)
		}
	})
}

func TestVersionsKeepTheirOrder(t *testing.T) {
	version := rapid.Custom(func(t *rapid.T) stream.Version {
		return stream.Version{Generation: rapid.Int64Range(0, 1<<10-1).Draw(t, "generation"), Offset: rapid.Int64Range(0, 1<<43-1).Draw(t, "offset")}
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b := version.Draw(t, "a"), version.Draw(t, "b")
		if stream.Unpack(a.Pack()) != a || a.Pack() < 0 || a.Pack() >= stream.MaxPacked || int64(float64(a.Pack())) != a.Pack() {
			t.Fatalf("%s packed is %d, unpacked %s", a, a.Pack(), stream.Unpack(a.Pack()))
		}
		before := a.Generation < b.Generation || a.Generation == b.Generation && a.Offset < b.Offset
		if a.Before(b) != before || (a.Pack() < b.Pack()) != before {
			t.Fatalf("%s before %s: %t", a, b, a.Before(b))
		}
	})
}

func TestRowFingerprints(t *testing.T) {
	row := stream.Row{Table: "t", Key: "k", Columns: []stream.Value{stream.StringOf("a"), {}}}
	same := stream.Row{Table: "other", Key: "k", Columns: []stream.Value{stream.StringOf("a"), {}}}
	if row.Fingerprint() != same.Fingerprint() {
		t.Error("the fingerprint covers more than key and columns")
	}
	for _, other := range []stream.Row{{Key: "k2", Columns: row.Columns}, {Key: "k", Columns: row.Columns[:1]},
		{Key: "k", Columns: []stream.Value{stream.StringOf("b"), {}}}} {
		if row.Fingerprint() == other.Fingerprint() {
			t.Errorf("%v has the fingerprint of %v", other, row)
		}
	}
}

// Decimals of few digits are read without big numbers, to the same values.
func TestShortDecimals(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`-?[0-9_+ -]{0,20}(\.-?[0-9]{0,5})?`).Draw(t, "text")
		whole, frac, _ := strings.Cut(text, ".")
		n, ok := new(big.Int).SetString(whole+frac, 10)
		ok = ok && !strings.ContainsAny(text, "_+ ") && !strings.HasPrefix(frac, "-")
		v, got := stream.ParseDecimal(text)
		if got != ok || ok && (v != stream.DecimalOf(n, len(frac)) || v.Scale() != len(frac)) {
			t.Fatalf("%q: %v %t, want %v %t", text, v, got, n, ok)
		}
		if small, scale, fits := v.Decimal64(); ok && (fits != n.IsInt64() || fits && (small != n.Int64() || scale != len(frac))) {
			t.Fatalf("%q: %d %d %t", text, small, scale, fits)
		}
	})
}
