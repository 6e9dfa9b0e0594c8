package postgres_test

import (
	"context"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/freshet-dev/freshet/internal/testenv"
	"github.com/freshet-dev/freshet/stream"
)

func tableOf(name string, columns ...stream.Field) stream.TargetTable {
	return stream.TargetTable{Table: stream.Table{Name: name, Columns: columns}}
}

func column(name string, t stream.Type) stream.Field { return stream.Field{Name: name, Type: t} }

func with(t stream.TargetTable, name string, v stream.Value) stream.TargetTable {
	t.Settings.Values = stream.MapOf(append(t.Settings.Values.Entries(), stream.Entry{Key: name, Value: v})...)
	return t
}

// TestNewRefuses needs no server: what Postgres can't keep is a fault before anything starts.
func TestNewRefuses(t *testing.T) {
	text := stream.TypeString
	for name, c := range map[string]struct {
		schema string
		tables []stream.TargetTable
		says   string
	}{
		"long table":     {"", []stream.TargetTable{tableOf(strings.Repeat("t", 64))}, "64 bytes"},
		"long column":    {"", []stream.TargetTable{tableOf("t", column(strings.Repeat("é", 32), text))}, "64 bytes"},
		"long schema":    {strings.Repeat("s", 70), nil, "70 bytes"},
		"nul in name":    {"", []stream.TargetTable{tableOf("a\x00b")}, "a\\x00b"},
		"own column":     {"", []stream.TargetTable{tableOf("t", column("_version", text))}, "_version"},
		"system column":  {"", []stream.TargetTable{tableOf("t", column("xmin", text))}, "xmin"},
		"own table":      {"", []stream.TargetTable{tableOf("_freshet_offsets")}, "bookkeeping"},
		"i8 vector":      {"", []stream.TargetTable{tableOf("t", column("v", stream.VectorType(stream.I8, 3)))}, "vector(i8, 3)"},
		"sparse":         {"", []stream.TargetTable{tableOf("t", column("v", stream.Type{Kind: stream.Sparse}))}, "sparse"},
		"multivector":    {"", []stream.TargetTable{tableOf("t", column("v", stream.Type{Kind: stream.MultiVector, Dims: 3}))}, "multivector"},
		"too many dims":  {"", []stream.TargetTable{tableOf("t", column("v", stream.VectorType(stream.F32, 16001)))}, "16000"},
		"index on text":  {"", []stream.TargetTable{with(tableOf("t", column("v", text)), "hnsw", stream.ListOf(stream.StringOf("v")))}, "no vector"},
		"index on none":  {"", []stream.TargetTable{with(tableOf("t"), "hnsw", stream.ListOf(stream.StringOf("v")))}, "no such column"},
		"index too wide": {"", []stream.TargetTable{with(tableOf("t", column("v", stream.VectorType(stream.F32, 2001))), "hnsw", stream.ListOf(stream.StringOf("v")))}, "2000"},
		"two in one":     {"", []stream.TargetTable{tableOf("a"), with(tableOf("b"), "table", stream.StringOf("a"))}, "both"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := newSink("postgres://localhost/x", c.schema, c.tables...)
			wantKind(t, err, stream.Usage)
			if !strings.Contains(err.Error(), c.says) {
				t.Fatalf("error %q does not say %q", err, c.says)
			}
		})
	}
}

// TestOpenRefuses: each mistake about the server gives its class and one message, which never holds the password.
func TestOpenRefuses(t *testing.T) {
	s := newSchema(t)
	good, err := url.Parse(s.url)
	must(t, err)
	changed := func(change func(*url.URL)) string {
		u := *good
		change(&u)
		return u.String()
	}
	role := s.name + "_r"
	s.exec(t, "create role "+role+" login password 'weak pass'")
	t.Cleanup(func() { _, _ = s.conn.Exec(context.WithoutCancel(t.Context()), "drop role "+role) })
	secret, _ := good.User.Password()
	for name, c := range map[string]struct {
		url  string
		kind stream.ErrorKind
		says string
	}{
		"wrong password":   {changed(func(u *url.URL) { u.User = url.UserPassword("postgres", "not "+secret) }), stream.Usage, "password is wrong"},
		"no database":      {changed(func(u *url.URL) { u.Path = "nowhere" }), stream.Usage, "create the database"},
		"no rights":        {changed(func(u *url.URL) { u.User = url.UserPassword(role, "weak pass") }), stream.Usage, "grant"},
		"nobody listens":   {changed(func(u *url.URL) { u.Host = "127.0.0.1:1" }), stream.Transient, "127.0.0.1:1"},
		"no URL":           {"postgres://u:" + secret + "@h:port/", stream.Usage, "setting url"},
		"unset reference":  {"env:FRESHET_NO_SUCH_VARIABLE", stream.Usage, "FRESHET_NO_SUCH_VARIABLE"},
		"extension denied": {changed(func(u *url.URL) { u.Path = "template1"; u.User = url.UserPassword(role, "weak pass") }), stream.Usage, "CREATE EXTENSION"},
	} {
		t.Run(name, func(t *testing.T) {
			table := notes
			if name == "extension denied" {
				table = tableOf("v", column("v", stream.VectorType(stream.F32, 3)))
			}
			sink, err := newSink(c.url, s.name, table)
			must(t, err)
			_, err = sink.Open(t.Context(), "handbook", "search")
			wantKind(t, err, c.kind)
			if !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), "weak pass") {
				t.Fatalf("error %q, want %q in it and no password", err, c.says)
			}
		})
	}
}

// TestValuesRefused: a value that the target can't hold stops it, naming document, table and column; nothing is altered.
func TestValuesRefused(t *testing.T) {
	ctx := t.Context()
	sink := newSchema(t).sink(t, tableOf("t", column("any", stream.TypeDynamic), column("text", stream.TypeString), column("v", stream.VectorType(stream.F32, 2))))
	begin(t, sink)
	nan := float32(math.NaN())
	for name, c := range map[string]struct {
		document, key string
		columns       [3]stream.Value
		says          string
	}{
		"NUL in text":     {"d", "", [3]stream.Value{1: stream.StringOf("a\x00b")}, "column text: Postgres can't hold"},
		"NUL in JSON":     {"d", "", [3]stream.Value{stream.ListOf(stream.StringOf("\x00"))}, "column any"},
		"NUL in key":      {"d", "k\x00", [3]stream.Value{}, "column _key"},
		"NUL in document": {"d\x00", "", [3]stream.Value{}, "column _document"},
		"invalid UTF-8":   {"d", "", [3]stream.Value{1: stream.StringOf("\xff")}, "UTF-8"},
		"other kind":      {"d", "", [3]stream.Value{1: stream.IntOf(1)}, "declared as string and got a int"},
		"other dims":      {"d", "", [3]stream.Value{2: stream.VectorOf([]float32{1})}, "1 dimensions"},
		"NaN in vector":   {"d", "", [3]stream.Value{2: stream.VectorOf([]float32{1, nan})}, "NaN"},
		"long key":        {"d", noise(9000), [3]stream.Value{}, "longest key, of document \"d\", has 9001 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			r := stream.RowWrite{RowID: stream.RowID{Table: "t", Document: c.document, Key: c.key}, Columns: c.columns[:]}
			err := sink.Apply(ctx, batch(0, r))
			wantKind(t, err, stream.Usage)
			if !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "table") {
				t.Fatalf("error %q does not say %q", err, c.says)
			}
		})
	}
	must(t, sink.Apply(ctx, batch(0)))
}

// noise is text that does not compress.
func noise(n int) string {
	var b strings.Builder
	for i := uint32(1); b.Len() < n; i++ {
		b.WriteString(stream.FingerprintOf(stream.IntOf(int64(i))).String()[:8])
	}
	return b.String()[:n]
}

// TestAltered: what differs from the recorded declaration is named.
func TestAltered(t *testing.T) {
	for name, c := range map[string]struct{ sql, says string }{
		"type":    {"alter column text type varchar", "column text is varchar, not text"},
		"dropped": {"drop column text", "column text is missing"},
		"added":   {"add column x int", "column x was added"},
		"dims":    {"alter column v type public.vector(4)", "column v is vector(4), not vector(3)"},
		"own":     {"alter column _version type int", "column _version is int4, not int8"},
		"key":     {"drop constraint notes_pkey", "primary key"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSchema(t)
			sink := s.sink(t, tableOf("notes", column("text", stream.TypeString), column("v", stream.VectorType(stream.F32, 3))))
			open(t, sink)
			s.exec(t, "alter table "+s.id("notes")+" "+c.sql)
			_, err := sink.Open(t.Context(), origin.Flow, origin.Target)
			wantKind(t, err, stream.Usage)
			if !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), `"notes"`) {
				t.Fatalf("error %q does not say %q", err, c.says)
			}
		})
	}
	t.Run("a view is foreign", func(t *testing.T) {
		s := newSchema(t)
		s.exec(t, "create schema "+s.name)
		s.exec(t, "create view "+s.id("notes")+" as select 1")
		_, err := s.sink(t, notes).Open(t.Context(), origin.Flow, origin.Target)
		wantKind(t, err, stream.Usage)
	})
}

// TestLeastRights: a user that owns nothing but the tables needs no right to create.
func TestLeastRights(t *testing.T) {
	s := newSchema(t)
	sink := s.sink(t, notes)
	begin(t, sink)
	role := s.name + "_r"
	s.exec(t, "create role "+role+" login password 'pw'; grant usage on schema "+s.name+" to "+role+
		"; grant select, insert, update, delete on all tables in schema "+s.name+" to "+role)
	t.Cleanup(func() {
		_, _ = s.conn.Exec(context.WithoutCancel(t.Context()), "drop owned by "+role+"; drop role "+role)
	})
	u, err := url.Parse(s.url)
	must(t, err)
	u.User = url.UserPassword(role, "pw")
	weak, err := newSink(u.String(), s.name, notes)
	must(t, err)
	t.Cleanup(func() { _ = weak.Close() })
	open(t, weak)
	must(t, weak.Apply(t.Context(), batch(0, note(0, "a", "A"))))
	wantTexts(t, weak, map[string]string{"a": "A"})
}

// TestRotatedPassword: a new connection reads the reference again.
func TestRotatedPassword(t *testing.T) {
	s := newSchema(t)
	s.exec(t, "create schema "+s.name)
	role := s.name + "_r"
	s.exec(t, "create role "+role+" login password 'first'; grant all on schema "+s.name+" to "+role)
	t.Cleanup(func() {
		_, _ = s.conn.Exec(context.WithoutCancel(t.Context()), "drop owned by "+role+"; drop role "+role)
	})
	u, err := url.Parse(s.url)
	must(t, err)
	file := filepath.Join(t.TempDir(), "url")
	write := func(password string) {
		u.User = url.UserPassword(role, password)
		must(t, os.WriteFile(file, []byte(u.String()+"\n"), 0o600))
	}
	write("first")
	sink, err := newSink("file:"+file, s.name, notes)
	must(t, err)
	t.Cleanup(func() { _ = sink.Close() })
	begin(t, sink)
	s.exec(t, "alter role "+role+" password 'second'")
	s.exec(t, "select pg_terminate_backend(pid) from pg_stat_activity where usename = '"+role+"'")
	b := batch(0, note(0, "a", "A"))
	waitFor(t, func() bool { return stream.KindOf(sink.Apply(t.Context(), b)) == stream.Usage })
	write("second")
	must(t, insist(func() error { return sink.Apply(t.Context(), b) }))
}

// TestOpenTogether: replicas that start at once on an empty database agree.
func TestOpenTogether(t *testing.T) {
	db := testenv.SharedPostgres(t).NewDatabase(t)
	db.Exec(t, "drop extension vector")
	errs := make([]error, 6)
	var wg sync.WaitGroup
	for i := range errs {
		sink, err := newSink(db.URL, "new", notes, tableOf("v", column("v", stream.VectorType(stream.F16, 3))))
		must(t, err)
		t.Cleanup(func() { _ = sink.Close() })
		wg.Go(func() { _, errs[i] = sink.Open(t.Context(), origin.Flow, origin.Target) })
	}
	wg.Wait()
	for _, err := range errs {
		must(t, err)
	}
}
