package sqlite

import (
	"database/sql"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/freshet-dev/freshet/sinks/sinktest"
	"github.com/freshet-dev/freshet/stream"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(childPath); path != "" {
		os.Exit(writeUntilKilled(path))
	}
	goleak.VerifyTestMain(m)
}

func TestContract(t *testing.T) {
	sinktest.Run(t, func(t *testing.T) sinktest.Harness { return harness(t, filepath.Join(t.TempDir(), "index 100%?#.db")) })
}

func harness(t *testing.T, path string) sinktest.Harness {
	t.Helper()
	return sinktest.Harness{
		New: func(tables []stream.TargetTable) (stream.Sink, error) { return newAt(path, tables) },
		MakeForeign: func(t *testing.T, table string) {
			byHand(t, path, "CREATE TABLE "+quoted(table)+" (id integer primary key, remark text)")
		},
		Alter: func(t *testing.T, table string) {
			byHand(t, path, "ALTER TABLE "+quoted(table)+" ADD COLUMN remark text")
		},
		Drop: func(t *testing.T, table string) { byHand(t, path, "DROP TABLE "+quoted(table)) },
		Edit: func(t *testing.T, row stream.RowID, column, text string) {
			byHand(t, path, "UPDATE "+quoted(row.Table)+" SET "+quoted(column)+" = ? WHERE _document = ? AND _key = ?",
				text, row.Document, row.Key)
		},
		See: func(t *testing.T, name string) []string { return textsIn(t, path, name) },
		Is:  sinktest.Guarantees{Guarantees: Spec().Guarantees},
	}
}

func newAt(path string, tables []stream.TargetTable) (stream.Sink, error) {
	settings := stream.Settings{Values: stream.MapOf(stream.Entry{Key: "path", Value: stream.StringOf(filepath.Base(path))}),
		Dir: filepath.Dir(path)}
	return Spec().New(stream.SinkConfig{Settings: settings, Tables: tables})
}

// textsIn reads as another program would.
func textsIn(t *testing.T, path, table string) (texts []string) {
	db, err := sql.Open("sqlite", dsn(path, "ro"))
	if err != nil {
		t.Error(err)
		return nil
	}
	defer db.Close() //nolint:errcheck // it only read
	rows, err := db.QueryContext(t.Context(), "SELECT text FROM "+quoted(table))
	if err != nil {
		t.Error(err)
		return nil
	}
	defer rows.Close() //nolint:errcheck // Err below tells
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

// byHand changes the file as another program would.
func byHand(t *testing.T, path, statement string, args ...any) {
	t.Helper()
	db, err := sql.Open("sqlite", dsn(path, "rwc"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close() //nolint:errcheck // Exec below tells
	if _, err := db.ExecContext(t.Context(), statement, args...); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}
