package sqlite

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/freshet-dev/freshet/stream"
)

func TestNewRefuses(t *testing.T) {
	column := func(names ...string) stream.Table {
		table := stream.Table{Name: "t"}
		for _, n := range names {
			table.Columns = append(table.Columns, stream.Field{Name: n, Type: stream.TypeString})
		}
		return table
	}
	for name, c := range map[string]struct {
		path   string
		tables []stream.Table
		says   string
	}{
		"no path":                     {"", nil, "is no file name"},
		"a database in memory":        {":memory:", nil, "is no file name"},
		"a URI":                       {"file:x?mode=memory", nil, "is no file name"},
		"tables that differ by case":  {"x.db", []stream.Table{{Name: "Docs"}, {Name: "docs"}}, "ignores case"},
		"columns that differ by case": {"x.db", []stream.Table{column("Title", "title")}, "ignores case"},
		"one of our columns":          {"x.db", []stream.Table{column("_Version")}, "taken"},
		"a reserved table":            {"x.db", []stream.Table{{Name: "SQLite_master"}}, "reserved"},
		"a bookkeeping table":         {"x.db", []stream.Table{{Name: "_freshet_offsets"}}, "reserved"},
		"NUL in a name":               {"x.db", []stream.Table{{Name: "a\x00b"}}, "another"},
		"too many columns":            {"x.db", []stream.Table{{Name: "t", Columns: make([]stream.Field, 2000)}}, "at most"},
	} {
		t.Run(name, func(t *testing.T) {
			var tables []stream.TargetTable
			for _, table := range c.tables {
				tables = append(tables, stream.TargetTable{Table: table})
			}
			settings := stream.Settings{Values: stream.MapOf(stream.Entry{Key: "path", Value: stream.StringOf(c.path)}), Dir: "."}
			_, err := Spec().New(stream.SinkConfig{Settings: settings, Tables: tables})
			refused(t, err, c.says)
		})
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	garbage := filepath.Join(dir, "garbage.db")
	if err := os.WriteFile(garbage, []byte(strings.Repeat("this is no database ", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, says := range map[string]string{
		garbage:                             "something else",
		dir:                                 dir,
		filepath.Join(garbage, "folder.db"): garbage,
	} {
		s, err := newAt(path, counted)
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Open(t.Context(), "f", "local")
		refused(t, err, says)
	}
}

func refused(t *testing.T, err error, says string) {
	t.Helper()
	if err == nil || stream.KindOf(err) != stream.Usage || !strings.Contains(err.Error(), says) {
		t.Fatalf("kind %s: %v; want usage, saying %q", stream.KindOf(err), err, says)
	}
}

// TestTableSetting keeps a table under another name.
func TestTableSetting(t *testing.T) {
	path := filepath.Join(t.TempDir(), "index.db")
	renamed := stream.TargetTable{Table: counted[0].Table, Settings: stream.Settings{
		Values: stream.MapOf(stream.Entry{Key: "table", Value: stream.StringOf("other name")})}}
	s, err := newAt(path, []stream.TargetTable{renamed})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close() //nolint:errcheck // not what is tested
	if _, err := s.Open(t.Context(), "f", "local"); err != nil {
		t.Fatal(err)
	}
	byHand(t, path, `INSERT INTO "other name" (_document, _key, _version, _partition, n) VALUES ('a', '', 0, 0, 0)`)
	checkCounted(t, s, 1)
}

// TestBusy holds the file's write lock from outside: the sink's write fails as transient and succeeds later, while
// reads go on.
func TestBusy(t *testing.T) {
	path := filepath.Join(t.TempDir(), "index.db")
	s := openCounted(t, path)
	defer s.Close() //nolint:errcheck // not what is tested
	outside, err := sql.Open("sqlite", dsn(path, "rw"))
	if err != nil {
		t.Fatal(err)
	}
	defer outside.Close() //nolint:errcheck // not what is tested
	outside.SetMaxOpenConns(1)
	hold := func(statement string) {
		if _, err := outside.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	hold("BEGIN IMMEDIATE")
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := s.Assign(ctx, 0, stream.Origin{}); stream.KindOf(err) != stream.Transient || err == nil {
		t.Fatalf("write beside another writer: %v", err)
	}
	checkCounted(t, s, 0)
	hold("ROLLBACK")
	if _, err := s.Assign(t.Context(), 0, stream.Origin{}); err != nil {
		t.Fatal(err)
	}
}
