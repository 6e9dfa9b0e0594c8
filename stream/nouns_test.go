package stream_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/freshet-dev/freshet/stream"
)

func TestDecimals(t *testing.T) {
	for _, c := range []struct {
		unscaled int64
		scale    int
		text     string
	}{{0, 0, "0"}, {0, 2, "0.00"}, {0, -2, "0"}, {1250, 2, "12.50"}, {-1250, 2, "-12.50"}, {5, 3, "0.005"}, {-5, 3, "-0.005"}, {7, -3, "7000"},
		{math.MinInt64, 18, "-9.223372036854775808"}} {
		v := stream.DecimalOf(big.NewInt(c.unscaled), c.scale)
		if got := v.DecimalText(); got != c.text || v.String() != c.text {
			t.Errorf("%d, scale %d is %q, want %q", c.unscaled, c.scale, got, c.text)
		}
		if back, ok := stream.ParseDecimal(c.text); !ok || c.scale >= 0 && !back.Equal(v) {
			t.Errorf("%q is read as %s, %t", c.text, back, ok)
		}
	}
	for _, bad := range []string{"", ".", "-", "1.2.3", "1_000", "+1", " 1", "1 ", "1e3", "0x1f", "NaN", ".-5", "1.-5", "--1", "١"} {
		if v, ok := stream.ParseDecimal(bad); ok {
			t.Errorf("%q is read as %s", bad, v)
		}
	}
	one, other := stream.DecimalOf(big.NewInt(15), 1), stream.DecimalOf(big.NewInt(150), 2)
	if one.Equal(other) || stream.FingerprintOf(one) == stream.FingerprintOf(other) {
		t.Error("1.5 and 1.50 differ as text")
	}
}

func TestTimestamps(t *testing.T) {
	for _, c := range []struct{ in, want time.Time }{
		{time.Unix(0, 0), time.Unix(0, 0)},
		{stream.MinTime, stream.MinTime}, {stream.MaxTime, stream.MaxTime},
		{stream.MinTime.Add(-1), stream.MinTime}, {stream.MaxTime.Add(1), stream.MaxTime},
		{time.Time{}, stream.MinTime}, {time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC), stream.MaxTime},
		{time.Date(2026, 1, 1, 1, 0, 0, 7, time.FixedZone("x", 3600)), time.Date(2026, 1, 1, 0, 0, 0, 7, time.UTC)},
	} {
		got := stream.TimestampOf(c.in).Time()
		if !got.Equal(c.want) || got.Location() != time.UTC {
			t.Errorf("%s is stored as %s, want %s", c.in, got, c.want)
		}
	}
}

func TestVectors(t *testing.T) {
	v := stream.VectorOf([]float32{1, 2, 3})
	if v.Dims() != 3 || v.Elem() != stream.F32 || fmt.Sprint(v.Floats()) != "[1 2 3]" || len(v.Raw()) != 12 {
		t.Errorf("%s", v)
	}
	if _, err := stream.RawVectorOf(stream.F16, make([]byte, 3)); err == nil {
		t.Error("3 bytes are taken for f16 elements")
	}
	if _, err := stream.MultiVectorOf(2, make([]float32, 3)); err == nil {
		t.Error("3 values are taken for pairs")
	}
	if _, err := stream.MultiVectorOf(0, nil); err == nil {
		t.Error("vectors of no dimensions are taken")
	}
	for _, idx := range [][]uint32{{1, 1}, {2, 1}, {1}} {
		if _, err := stream.SparseOf(idx, []float32{1, 2}); err == nil {
			t.Errorf("indices %v are taken", idx)
		}
	}
	s := must(stream.SparseOf([]uint32{0, math.MaxUint32}, []float32{1, -1}))
	if i, f := s.SparseParts(); fmt.Sprint(i, f) != "[0 4294967295] [1 -1]" || s.Dims() != 2 {
		t.Errorf("%v %v", i, f)
	}
}

func TestErrorKindsShowThroughWrapping(t *testing.T) {
	cause := errors.New("cause")
	inner := &stream.Error{Op: "embed", Doc: "page/a", Kind: stream.Throttled, Err: cause, RetryAfter: time.Second}
	for _, c := range []struct {
		err  error
		want stream.ErrorKind
	}{
		{nil, stream.Internal}, {cause, stream.Internal}, {context.DeadlineExceeded, stream.Internal}, {inner, stream.Throttled},
		{fmt.Errorf("more: %w", inner), stream.Throttled}, {errors.Join(cause, inner), stream.Throttled},
		{&stream.Error{Op: "outer", Kind: stream.Usage, Err: inner}, stream.Usage},
		{stream.Errorf(stream.Invalid, "op", "%w", inner), stream.Invalid},
	} {
		if got := stream.KindOf(c.err); got != c.want {
			t.Errorf("%v is %s, want %s", c.err, got, c.want)
		}
	}
	wrapped := stream.Errorf(stream.Invalid, "op", "x: %w", inner)
	if !errors.Is(wrapped, cause) || wrapped.Error() != "op: x: embed (document page/a): cause" {
		t.Errorf("%v", wrapped)
	}
	batch := &stream.BatchError{Failed: map[int]error{7: cause, 2: inner, 9: cause}}
	for range 20 {
		if batch.Error() != "3 inputs failed, first number 2: embed (document page/a): cause" {
			t.Fatal(batch)
		}
	}
}

func TestSecretsAreNeverPrinted(t *testing.T) {
	const plain = "hunter2"
	secret := stream.SecretRef(plain)
	type config struct {
		Public  stream.Secret
		private stream.Secret
		pointer *stream.Secret
	}
	c := config{secret, secret, &secret}
	var out strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%T", "%p"} {
		for _, x := range []any{secret, &secret, c, &c, []stream.Secret{secret}, map[string]config{"a": c}, struct{ e error }{fmt.Errorf("%v", secret)}} {
			fmt.Fprintf(&out, verb+"\n", x)
		}
	}
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(text)
	for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(h).Info("x", "secret", secret, "config", c)
	}
	for _, leak := range []string{plain, fmt.Sprintf("%x", plain), fmt.Sprintf("%X", plain)} {
		if strings.Contains(out.String(), leak) {
			t.Errorf("%q is printed:\n%s", leak, out.String())
		}
	}
}

func TestSecretsResolve(t *testing.T) {
	t.Setenv("STREAM_TEST_SECRET", "from env")
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte("from file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for ref, want := range map[string]string{"env:STREAM_TEST_SECRET": "from env", "file:" + file: "from file", "plain": "plain", "": ""} {
		if got, err := stream.SecretRef(ref).Resolve(); err != nil || got != want {
			t.Errorf("%s is %q, %v", ref, got, err)
		}
	}
	for _, ref := range []string{"env:STREAM_TEST_ABSENT", "file:" + file + "-absent"} {
		s := stream.SecretRef(ref)
		if _, err := s.Resolve(); stream.KindOf(err) != stream.Usage || s.String() != ref {
			t.Errorf("%s: %v", s, err)
		}
	}
	if !(stream.Secret{}).IsZero() || !stream.SecretRef("").IsZero() || stream.SecretRef("x").IsZero() || (stream.Secret{}).String() != "" {
		t.Error("zero secrets")
	}
}

func TestTypesAreWrittenAsInFlowFiles(t *testing.T) {
	number := stream.Type{Kind: stream.Map, Elem: &stream.TypeInt}
	for want, typ := range map[string]stream.Type{
		"null": {}, "dyn": stream.TypeDynamic, "string?": stream.TypeString.OrNull(), "list(int)": stream.ListType(stream.TypeInt),
		"list(list(bytes?))?": stream.ListType(stream.ListType(stream.TypeBytes.OrNull())).OrNull(),
		"vector(f32, 768)":    stream.VectorType(stream.F32, 768), "multivector(128)": {Kind: stream.MultiVector, Dims: 128},
		"sparse": {Kind: stream.Sparse}, "decimal(2)": {Kind: stream.Decimal, Scale: 2}, "map": stream.MapType(), "map(int)": number,
		"map{a: int, b: timestamp?}": stream.MapType(stream.Field{Name: "a", Type: stream.TypeInt}, stream.Field{Name: "b", Type: stream.TypeTimestamp.OrNull()}),
	} {
		if typ.String() != want || !typ.Equal(typ) {
			t.Errorf("%s, want %s", typ, want)
		}
	}
	if stream.TypeInt.Equal(stream.TypeInt.OrNull()) {
		t.Error("int equals int?")
	}
	fields := stream.MapType(stream.Field{Name: "a", Type: stream.TypeInt})
	if f, ok := fields.FieldType("a"); !ok || f.Kind != stream.Int {
		t.Error(f, ok)
	}
	if _, ok := fields.FieldType("b"); ok {
		t.Error("an unknown field has a type")
	}
	if f, ok := number.FieldType("any"); !ok || f.Kind != stream.Int {
		t.Error(f, ok)
	}
}
