package postgres_test

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freshet-dev/freshet/internal/testenv"
	"github.com/freshet-dev/freshet/sinks/postgres"
	"github.com/freshet-dev/freshet/sinks/sinktest"
	"github.com/freshet-dev/freshet/stream"
)

func TestMain(m *testing.M) { os.Exit(testenv.Main(m)) }

func TestContract(t *testing.T) {
	sinktest.Run(t, func(t *testing.T) sinktest.Harness { return newSchema(t).harness() })
}

// schema is an empty one of its own for a test, in a database that the package's tests share.
type schema struct {
	url, name string
	conn      *pgx.Conn
}

func newSchema(t testing.TB) schema {
	t.Helper()
	s := schema{url: testenv.SharedPostgres(t).URL(), name: testenv.Name(t)}
	s.conn = connect(t, s.url)
	t.Cleanup(func() {
		_, err := s.conn.Exec(context.WithoutCancel(t.Context()), "drop schema if exists "+s.name+" cascade")
		must(t, err)
	})
	return s
}

func (s schema) id(name string) string { return pgx.Identifier{s.name, name}.Sanitize() }

func (s schema) exec(t testing.TB, sql string, args ...any) {
	t.Helper()
	_, err := s.conn.Exec(t.Context(), sql, args...)
	must(t, err)
}

// texts reads as another program would.
func (s schema) texts(t *testing.T, table string) []string {
	rows, err := s.conn.Query(t.Context(), "select text from "+s.id(table))
	if err != nil {
		t.Error(err)
		return nil
	}
	texts, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Error(err)
	}
	return texts
}

func (s schema) sink(t testing.TB, tables ...stream.TargetTable) stream.Sink {
	t.Helper()
	sink, err := newSink(s.url, s.name, tables...)
	must(t, err)
	t.Cleanup(func() { must(t, sink.Close()) })
	return sink
}

func (s schema) harness() sinktest.Harness {
	return sinktest.Harness{
		New: func(tables []stream.TargetTable) (stream.Sink, error) { return newSink(s.url, s.name, tables...) },
		MakeForeign: func(t *testing.T, table string) {
			s.exec(t, "create schema if not exists "+s.name+"; create table "+s.id(table)+" (id int primary key)")
		},
		Alter: func(t *testing.T, table string) { s.exec(t, "alter table "+s.id(table)+" add column mine int") },
		Drop:  func(t *testing.T, table string) { s.exec(t, "drop table "+s.id(table)) },
		Edit: func(t *testing.T, row stream.RowID, column, text string) {
			s.exec(t, "update "+s.id(row.Table)+" set "+pgx.Identifier{column}.Sanitize()+" = $1 where _document = $2 and _key = $3",
				text, row.Document, row.Key)
		},
		See: func(t *testing.T, name string) []string { return s.texts(t, name) },
		Is:  sinktest.Guarantees{Guarantees: postgres.Spec().Guarantees, Resolution: time.Microsecond, NoNUL: true, MaxName: 63},
	}
}

func newSink(url, schema string, tables ...stream.TargetTable) (stream.Sink, error) {
	settings := stream.MapOf(stream.Entry{Key: "url", Value: stream.StringOf(url)}, stream.Entry{Key: "schema", Value: stream.StringOf(schema)})
	return postgres.Spec().New(stream.SinkConfig{Settings: stream.Settings{Values: settings}, Tables: tables})
}

func connect(t testing.TB, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	must(t, err)
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%v (kind %s)", err, stream.KindOf(err))
	}
}
