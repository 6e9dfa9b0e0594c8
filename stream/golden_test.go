package stream_test

import (
	"encoding/hex"
	"flag"
	"fmt"
	"math"
	"math/big"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/freshet-dev/freshet/stream"
)

var update = flag.Bool("update", false, "write the golden encodings anew; a change breaks every state written before")

type named struct {
	name  string
	value stream.Value
}

func must(v stream.Value, err error) stream.Value {
	if err != nil {
		panic(err)
	}
	return v
}

func samples() []named {
	huge, _ := new(big.Int).SetString("-123456789012345678901234567890", 10)
	long := make([]stream.Entry, 26)
	for i := range long {
		long[i] = stream.Entry{Key: strings.Repeat("k", i), Value: stream.IntOf(int64(i))}
	}
	return []named{
		{"null", stream.Value{}}, {"false", stream.BoolOf(false)}, {"true", stream.BoolOf(true)},
		{"int-0", stream.IntOf(0)}, {"int-23", stream.IntOf(23)}, {"int-24", stream.IntOf(24)}, {"int-minus-1", stream.IntOf(-1)},
		{"int-min", stream.IntOf(math.MinInt64)}, {"int-max", stream.IntOf(math.MaxInt64)},
		{"double-1", stream.DoubleOf(1)}, {"double-minus-0", stream.DoubleOf(math.Copysign(0, -1))}, {"double-third", stream.DoubleOf(1. / 3)},
		{"double-single", stream.DoubleOf(100000)}, {"double-subnormal", stream.DoubleOf(5.960464477539063e-8)},
		{"double-nan", stream.DoubleOf(math.Float64frombits(0x7ff8dead00000000))}, {"double-inf", stream.DoubleOf(math.Inf(-1))},
		{"decimal-12.50", stream.DecimalOf(big.NewInt(1250), 2)}, {"decimal-zero", stream.DecimalOf(big.NewInt(0), 0)},
		{"decimal-negative-scale", stream.DecimalOf(big.NewInt(7), -3)}, {"decimal-huge", stream.DecimalOf(huge, 10)},
		{"string-empty", stream.StringOf("")}, {"string", stream.StringOf("søt 🌊")}, {"string-no-utf8", stream.StringOf("\xff")},
		{"bytes-empty", stream.BytesOf(nil)}, {"bytes", stream.BytesOf([]byte{0, 1, 255})},
		{"timestamp", stream.TimestampOf(time.Date(2026, 10, 1, 12, 30, 0, 123456789, time.UTC))},
		{"timestamp-min", stream.TimestampOf(stream.MinTime)}, {"timestamp-max", stream.TimestampOf(stream.MaxTime)},
		{"list-empty", stream.ListOf()}, {"list", stream.ListOf(stream.IntOf(1), stream.Value{}, stream.ListOf(stream.StringOf("x")))},
		{"map-empty", stream.MapOf()}, {"map-order", stream.MapOf(stream.Entry{Key: "bb", Value: stream.IntOf(1)}, stream.Entry{Key: "c", Value: stream.IntOf(2)},
			stream.Entry{Key: "a", Value: stream.Value{}})}, {"map-long", stream.MapOf(long...)},
		{"vector-f32", stream.VectorOf([]float32{1, -0.5, 3.1415927})}, {"vector-empty", stream.VectorOf(nil)},
		{"vector-f16", must(stream.RawVectorOf(stream.F16, []byte{0, 60, 0, 192}))}, {"vector-i8", must(stream.RawVectorOf(stream.I8, []byte{1, 255, 127}))},
		{"sparse", must(stream.SparseOf([]uint32{1, 70000}, []float32{0.5, -2}))}, {"sparse-empty", must(stream.SparseOf(nil, nil))},
		{"multivector", must(stream.MultiVectorOf(2, []float32{1, 2, 3, 4, 5, 6}))}, {"multivector-empty", must(stream.MultiVectorOf(3, nil))},
	}
}

const goldenFile = "testdata/values.golden"

// The encoding is persisted, in states and topics, and hashed into fingerprints: it never changes.
func TestGoldenEncodings(t *testing.T) {
	var b strings.Builder
	for _, s := range samples() {
		fmt.Fprintf(&b, "%s %x %s\n", s.name, stream.AppendValue(nil, s.value), stream.FingerprintOf(s.value))
	}
	if *update {
		if err := os.WriteFile(goldenFile, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	golden, err := os.ReadFile(goldenFile)
	if err != nil {
		t.Fatal(err)
	}
	if string(golden) != b.String() {
		t.Errorf("encodings changed; they are:\n%s", b.String())
	}
	for i, line := range strings.Split(strings.TrimSpace(string(golden)), "\n") {
		want := samples()[i]
		raw, err := hex.DecodeString(strings.Fields(line)[1])
		if err != nil {
			t.Fatal(err)
		}
		if v, err := stream.DecodeValue(raw); err != nil || !v.Equal(want.value) {
			t.Errorf("%s is read as %s: %v", want.name, v, err)
		}
	}
}

func FuzzDecodeValue(f *testing.F) {
	for _, s := range samples() {
		f.Add(stream.AppendValue(nil, s.value))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := stream.DecodeValue(b)
		if err != nil {
			return
		}
		_, _, _ = v.String(), v.Raw(), v.Floats()
		v.SparseParts()
		enc := stream.AppendValue(nil, v)
		again, err := stream.DecodeValue(enc)
		if err != nil || !again.Equal(v) {
			t.Fatalf("%x decodes to %s, encodes as %x, decodes to %s: %v", b, v, enc, again, err)
		}
	})
}

func TestMalformedEncodings(t *testing.T) {
	for name, text := range map[string]string{
		"empty":                        "",
		"trailing bytes":               "0102",
		"huge array, no items":         "9b0000000007ffffff",
		"array beyond the bound":       "9bffffffffffffffff",
		"huge map, no entries":         "bb0000000007ffffff",
		"huge text, no bytes":          "7b7fffffffffffffff",
		"huge bytes, no bytes":         "5b7fffffffffffffff",
		"int beyond 64 bits":           "1bffffffffffffffff",
		"indefinite nesting":           strings.Repeat("81", 300) + "01",
		"unknown tag":                  "d903e701",
		"simple value":                 "e5",
		"duplicate key":                "a2616101616102",
		"key that is no text":          "a10102",
		"vector of half an element":    "d85543000000",
		"vector that is no bytes":      "d85501",
		"sparse of half an entry":      "d9b79a4400000000",
		"sparse with falling indices":  "d9b79a5002000000010000000000000000000000",
		"decimal with a huge exponent": "c4821b7fffffffffffffff01",
		"decimal of three":             "c483010203",
		"multivector of another shape": "d82882820502d8554800000000000000" + "00",
		"multivector of bytes":         "d8288282010241ff",
		"multivector of no dimensions": "d82882820000d85540",
		"timestamp as text":            "d9b7996161",
	} {
		raw, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(name, err)
		}
		allocated := testing.AllocsPerRun(1, func() { _, err = stream.DecodeValue(raw) })
		if err == nil {
			v, _ := stream.DecodeValue(raw)
			t.Errorf("%s: decoded to %s", name, v)
		}
		if allocated > 2000 {
			t.Errorf("%s: %v allocations", name, allocated)
		}
	}
}
