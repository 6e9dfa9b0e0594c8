package e2e

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"sort"
	"strings"
	"testing"

	"modernc.org/sqlite"
)

// readOnly opens a SQLite file as any other program does.
type readOnly struct{ path string }

func (r readOnly) Connect(context.Context) (driver.Conn, error) {
	return r.Driver().Open("file:" + r.path + "?mode=ro&_pragma=busy_timeout(10000)")
}

func (readOnly) Driver() driver.Driver { return &sqlite.Driver{} }

// sqliteRows returns the keys and declared columns of a table, a row a line, sorted.
func sqliteRows(t testing.TB, path, table string) []string {
	t.Helper()
	lines, err := querySQLite(t.Context(), path, table)
	if err != nil {
		t.Fatalf("read table %s of %s: %v", table, path, err)
	}
	return lines
}

func querySQLite(ctx context.Context, path, table string) (lines []string, err error) {
	db := sql.OpenDB(readOnly{path})
	defer func() { _ = db.Close() }()
	rows, err := db.QueryContext(ctx, `select * from "`+table+`"`)
	if err != nil {
		return nil, err
	}
	names, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	for rows.Next() {
		values, into := make([]any, len(names)), make([]any, len(names))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		lines = append(lines, line(names, values))
	}
	sort.Strings(lines)
	return lines, rows.Err()
}

// line writes a row without what tells of its history.
func line(names []string, values []any) string {
	var b strings.Builder
	for i, name := range names {
		switch name {
		case "_version", "_partition", "_lineage":
		default:
			if blob, ok := values[i].([]byte); ok {
				values[i] = fmt.Sprintf("%x", blob)
			}
			fmt.Fprintf(&b, "%s=%v ", name, values[i])
		}
	}
	return b.String()
}
