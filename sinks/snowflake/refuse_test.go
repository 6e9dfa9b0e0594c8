package snowflake_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/freshet-dev/freshet/internal/testenv"
	"github.com/freshet-dev/freshet/stream"
)

func tableOf(name string, columns ...stream.Field) stream.TargetTable {
	return stream.TargetTable{Table: stream.Table{Name: name, Columns: columns}}
}

func column(name string, t stream.Type) stream.Field { return stream.Field{Name: name, Type: t} }

// TestNewRefuses needs no server: what Snowflake can't keep, and settings that don't fit, are faults before anything starts.
func TestNewRefuses(t *testing.T) {
	text := stream.TypeString
	for name, c := range map[string]struct {
		settings []string
		tables   []stream.TargetTable
		says     string
	}{
		"long table":    {nil, []stream.TargetTable{tableOf(strings.Repeat("é", 256))}, "256 characters"},
		"nul in name":   {nil, []stream.TargetTable{tableOf("a\x00b")}, "a\\x00b"},
		"own column":    {nil, []stream.TargetTable{tableOf("t", column("_version", text))}, "_version"},
		"own table":     {nil, []stream.TargetTable{tableOf("_freshet_places")}, "bookkeeping"},
		"scale":         {nil, []stream.TargetTable{tableOf("t", column("d", stream.Type{Kind: stream.Decimal, Scale: 38}))}, "37 digits"},
		"wide vector":   {[]string{"vectors", "vector"}, []stream.TargetTable{tableOf("t", column("v", stream.VectorType(stream.F32, 4097)))}, "4096"},
		"any vector":    {[]string{"vectors", "vector"}, []stream.TargetTable{tableOf("t", column("v", stream.VectorType(stream.F32, 0)))}, "declared"},
		"no account":    {[]string{"account", ""}, nil, "setting account"},
		"no database":   {[]string{"database", ""}, nil, "setting database"},
		"no credential": {[]string{"password", ""}, nil, "password and private_key"},
		"two":           {[]string{"private_key", "env:X"}, nil, "password and private_key"},
		"two in one":    {nil, []stream.TargetTable{tableOf("a"), {Table: stream.Table{Name: "b"}, Settings: named("a")}}, "both"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := with(settings(c.settings...), c.tables...)
			wantKind(t, err, stream.Usage)
			if !strings.Contains(err.Error(), c.says) {
				t.Fatalf("error %q does not say %q", err, c.says)
			}
		})
	}
}

func named(table string) stream.Settings {
	return stream.Settings{Values: stream.MapOf(stream.Entry{Key: "table", Value: stream.StringOf(table)})}
}

// TestValuesRefused: a value that the target can't hold stops it, naming document, table and column; nothing is altered.
func TestValuesRefused(t *testing.T) {
	ctx := t.Context()
	sink := newSchema(t).sink(t, tableOf("t", column("any", stream.TypeDynamic), column("dec", stream.Type{Kind: stream.Decimal, Scale: 2}),
		column("text", stream.TypeString), column("v", stream.VectorType(stream.F32, 2))))
	begin(t, sink)
	huge := new(big.Int).Exp(big.NewInt(10), big.NewInt(38), nil)
	for name, c := range map[string]struct {
		columns [4]stream.Value
		says    string
	}{
		"NUL in JSON":     {[4]stream.Value{stream.ListOf(stream.StringOf("\x00"))}, "column any"},
		"NUL in a key":    {[4]stream.Value{stream.MapOf(stream.Entry{Key: "\x00"})}, "column any"},
		"digits cut":      {[4]stream.Value{1: stream.DecimalOf(big.NewInt(1234), 3)}, "column dec: 1.234 has more digits"},
		"too many digits": {[4]stream.Value{1: stream.DecimalOf(huge, 2)}, "38 digits"},
		"invalid UTF-8":   {[4]stream.Value{2: stream.StringOf("\xff")}, "UTF-8"},
		"other kind":      {[4]stream.Value{2: stream.IntOf(1)}, "declared as string and got a int"},
		"other dims":      {[4]stream.Value{3: stream.VectorOf([]float32{1})}, "1 dimensions"},
	} {
		t.Run(name, func(t *testing.T) {
			err := sink.Apply(ctx, batch(0, stream.RowWrite{RowID: stream.RowID{Table: "t", Document: "d"}, Columns: c.columns[:]}))
			wantKind(t, err, stream.Usage)
			if !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "document d") {
				t.Fatalf("error %q does not say %q", err, c.says)
			}
		})
	}
	escaped := stream.RowWrite{RowID: stream.RowID{Table: "t", Document: "d"}, Columns: []stream.Value{stream.StringOf(`\u0000`), {}, {}, {}}}
	must(t, sink.Apply(ctx, batch(0, escaped)))
}

// TestVectorKinds: what the contract does not write comes back as it was written too.
func TestVectorKinds(t *testing.T) {
	half := func() stream.Value { v, _ := stream.RawVectorOf(stream.F16, []byte{0, 0x3c, 1, 0}); return v }()
	bytes := func() stream.Value { v, _ := stream.RawVectorOf(stream.I8, []byte{0x80, 0x7f}); return v }()
	sparse, err := stream.SparseOf([]uint32{3, 1 << 31}, []float32{0.1, -2})
	must(t, err)
	multi, err := stream.MultiVectorOf(2, []float32{0.1, 2, 3, 4})
	must(t, err)
	sink := newSchema(t).sink(t, tableOf("t", column("half", stream.VectorType(stream.F16, 2)), column("i8", stream.VectorType(stream.I8, 2)),
		column("multi", stream.Type{Kind: stream.MultiVector, Dims: 2}), column("sparse", stream.Type{Kind: stream.Sparse})))
	begin(t, sink)
	want := []stream.Value{half, bytes, multi, sparse}
	must(t, sink.Apply(t.Context(), batch(0, stream.RowWrite{RowID: stream.RowID{Table: "t", Document: "d"}, Columns: want})))
	rows := 0
	must(t, sink.(stream.Reader).ReadRows(t.Context(), "t", func(r stream.RowWrite) error {
		rows++
		for i, v := range r.Columns {
			if !v.Equal(want[i]) {
				t.Errorf("column %d came back as %s, want %s", i, v, want[i])
			}
		}
		return nil
	}))
	if rows != 1 {
		t.Fatalf("%d rows, want 1", rows)
	}
}

// TestOpenRefuses: each mistake about the server gives its class and one message, which never holds the password.
func TestOpenRefuses(t *testing.T) {
	s := newSchema(t)
	const secret = "correct horse"
	t.Setenv("SECRET_URL", "https://u:"+secret+"@host")
	t.Setenv("SECRET_KEY", secret)
	for name, c := range map[string]struct {
		settings []string
		kind     stream.ErrorKind
		says     string
	}{
		"nobody listens":  {[]string{"url", "http://127.0.0.1:1"}, stream.Transient, "127.0.0.1:1"},
		"user in URL":     {[]string{"url", "env:SECRET_URL"}, stream.Usage, "setting url"},
		"no key":          {[]string{"password", "", "private_key", "env:SECRET_KEY"}, stream.Usage, "setting private_key"},
		"unset reference": {[]string{"password", "env:FRESHET_NO_SUCH_VARIABLE"}, stream.Usage, "FRESHET_NO_SUCH_VARIABLE"},
	} {
		t.Run(name, func(t *testing.T) {
			sink, err := with(settings(append([]string{"url", s.url, "schema", s.name}, c.settings...)...), notes)
			must(t, err)
			_, err = sink.Open(t.Context(), origin.Flow, origin.Target)
			wantKind(t, err, c.kind)
			if !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), secret) {
				t.Fatalf("error %q, want %q in it and no secret", err, c.says)
			}
		})
	}
}

// TestRotated: over TLS, a wrong password is refused, and a rotated one is waited for and read again; the same of a key.
func TestRotated(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		must(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	cert, key := testenv.Certificate(t)
	old, public := keyPair(t)
	server := testenv.Snowflake(t, testenv.SnowflakeOptions{PasswordFile: file("server", "first"), PublicKeyFile: file("server.pub", public), Cert: cert, Key: key})
	for name, way := range map[string]struct {
		setting, good string
		rotate        func() (good string)
	}{
		"password":    {"password", "first", func() string { file("server", "second"); return "second" }},
		"private_key": {"private_key", old, func() string { fresh, public := keyPair(t); file("server.pub", public); return fresh }},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			wrong, _ := keyPair(t)
			ref := "file:" + file("client", wrong)
			sink, err := with(settings("url", server.URL(), "ca", cert, "schema", strings.ToUpper(name), "password", "", way.setting, ref), notes)
			must(t, err)
			t.Cleanup(func() { must(t, sink.Close()) })
			_, err = sink.Open(ctx, origin.Flow, origin.Target)
			wantKind(t, err, stream.Usage)
			file("client", way.good)
			begin(t, sink)
			good := way.rotate()
			must(t, sink.Close())
			_, err = sink.Open(ctx, origin.Flow, origin.Target)
			wantKind(t, err, stream.Transient)
			file("client", good)
			_, err = sink.Open(ctx, origin.Flow, origin.Target)
			must(t, err)
			must(t, sink.Apply(ctx, batch(0, note(0, "a", "A"))))
		})
	}
}

func keyPair(t testing.TB) (private, public string) {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	p, err := x509.MarshalPKCS8PrivateKey(k)
	must(t, err)
	q, err := x509.MarshalPKIXPublicKey(&k.PublicKey)
	must(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: p})), string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: q}))
}
