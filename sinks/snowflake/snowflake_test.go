package snowflake_test

import (
	"context"
	"database/sql"
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/freshet-dev/freshet/internal/testenv"
	"github.com/freshet-dev/freshet/internal/testenv/warehouse"
	"github.com/freshet-dev/freshet/sinks/sinktest"
	"github.com/freshet-dev/freshet/sinks/snowflake"
	"github.com/freshet-dev/freshet/stream"
)

// TestMain lets random histories be few: each of their statements goes through an emulator that takes its time.
func TestMain(m *testing.M) {
	if err := flag.Set("rapid.checks", "8"); err != nil {
		panic(err)
	}
	os.Exit(testenv.Main(m))
}

func TestContract(t *testing.T) {
	sinktest.Run(t, func(t *testing.T) sinktest.Harness { return newSchema(t).harness() })
}

// schema is an empty one of its own for a test, in an emulator that the package's tests share.
type schema struct {
	url, name string
	db        *sql.DB
}

func newSchema(t testing.TB) schema {
	t.Helper()
	t.Setenv("FRESHET_TEST_PASSWORD", "pw")
	server := testenv.SharedSnowflake(t)
	s := schema{url: server.URL(), name: testenv.Name(t), db: warehouse.Client(t, server)}
	t.Cleanup(func() {
		_, err := s.db.ExecContext(context.WithoutCancel(t.Context()), "drop schema if exists "+s.id()+" cascade")
		must(t, err)
	})
	return s
}

func (s schema) id(table ...string) string {
	id := quote("FRESHET") + "." + quote(s.name)
	for _, name := range table {
		id += "." + quote(name)
	}
	return id
}

func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

func (s schema) exec(t testing.TB, sql string, args ...any) {
	t.Helper()
	if _, err := s.db.ExecContext(t.Context(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// texts reads as another program would.
func (s schema) texts(t *testing.T, table string) (texts []string) {
	rows, err := s.db.QueryContext(t.Context(), `select "text" from `+s.id(table))
	if err != nil {
		t.Error(err)
		return nil
	}
	defer rows.Close()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			t.Error(err)
		}
		texts = append(texts, text)
	}
	if err := rows.Err(); err != nil {
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
			s.exec(t, "create schema if not exists "+s.id())
			s.exec(t, "create table "+s.id(table)+" (id int)")
		},
		Alter: func(t *testing.T, table string) { s.exec(t, "alter table "+s.id(table)+" add column mine int") },
		Drop:  func(t *testing.T, table string) { s.exec(t, "drop table "+s.id(table)) },
		Edit: func(t *testing.T, row stream.RowID, column, text string) {
			s.exec(t, "update "+s.id(row.Table)+" set "+quote(column)+` = ? where "_document" = ? and "_key" = ?`, text, row.Document, row.Key)
		},
		See:      func(t *testing.T, name string) []string { return s.texts(t, name) },
		Switches: 10, // of some twenty statements each, through an emulator that takes its time
		Is:       sinktest.Guarantees{Guarantees: snowflake.Spec().Guarantees, Resolution: time.Microsecond, NoNUL: true},
	}
}

func newSink(url, schema string, tables ...stream.TargetTable) (stream.Sink, error) {
	return with(settings("url", url, "schema", schema), tables...)
}

func with(s stream.Settings, tables ...stream.TargetTable) (stream.Sink, error) {
	return snowflake.Spec().New(stream.SinkConfig{Settings: s, Tables: tables})
}

// settings are those of the emulator, and what is given instead or besides; "" takes one away.
func settings(pairs ...string) stream.Settings {
	all := map[string]string{"account": "test", "user": "u", "password": "env:FRESHET_TEST_PASSWORD", "database": "FRESHET"}
	for i := 0; i < len(pairs); i += 2 {
		all[pairs[i]] = pairs[i+1]
	}
	var entries []stream.Entry
	for name, value := range all {
		if value != "" {
			entries = append(entries, stream.Entry{Key: name, Value: stream.StringOf(value)})
		}
	}
	return stream.Settings{Values: stream.MapOf(entries...)}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%v (kind %s)", err, stream.KindOf(err))
	}
}
