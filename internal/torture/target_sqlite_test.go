package torture

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"modernc.org/sqlite"

	"github.com/freshet-dev/freshet/stream"
)

// sqliteTarget is a file, read beside its owner.
type sqliteTarget struct {
	path string
	db   *sql.DB
}

func newSQLite(t *testing.T, r *rig) target {
	t.Helper()
	path := filepath.Join(r.dir, r.name+".db")
	db := sql.OpenDB(readOnly("file:" + path + "?mode=rw&_pragma=query_only(1)&_pragma=busy_timeout(10000)"))
	t.Cleanup(func() { _ = db.Close() })
	return &sqliteTarget{path: path, db: db}
}

// readOnly opens connections to a database named by a URL.
type readOnly string

// Connect implements driver.Connector.
func (url readOnly) Connect(context.Context) (driver.Conn, error) {
	return new(sqlite.Driver).Open(string(url))
}

// Driver implements driver.Connector.
func (url readOnly) Driver() driver.Driver { return new(sqlite.Driver) }

func (*sqliteTarget) name() string     { return "sqlite" }
func (*sqliteTarget) whole() bool      { return true }
func (*sqliteTarget) env(int) []string { return nil }

func (v *sqliteTarget) block() string {
	return fmt.Sprintf(`{ sqlite: { path: %q }, tables: [docs, chunks] }`, v.path)
}

func (*sqliteTarget) refusal(pid int) string {
	return fmt.Sprintf("another process (%d) writes this file", pid)
}

func (v *sqliteTarget) rows(ctx context.Context, vectors bool) (all []row, err error) {
	if there, err := v.there(ctx); err != nil || !there {
		return nil, err
	}
	rows, err := v.db.QueryContext(ctx, `select 'docs', _document, _key, _version, id, rev, parts, '', null from docs
		union all select 'chunks', _document, _key, _version, id, rev, 0, text, `+vector(vectors, "embedding")+` from chunks`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var s row
		var raw []byte
		if err := rows.Scan(&s.table, &s.document, &s.key, &s.version, &s.id, &s.rev, &s.parts, &s.text, &raw); err != nil {
			return nil, err
		}
		if raw != nil {
			if s.vector, err = floats(raw); err != nil {
				return nil, err
			}
		}
		all = append(all, s)
	}
	return all, rows.Err()
}

func (v *sqliteTarget) there(ctx context.Context) (bool, error) {
	if _, err := os.Stat(v.path); errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	var tables int
	err := v.db.QueryRowContext(ctx, `select count(*) from sqlite_master where name in ('docs', 'chunks')`).Scan(&tables)
	return tables == 2, err
}

func floats(raw []byte) ([]float32, error) {
	v, err := stream.RawVectorOf(stream.F32, raw)
	if err != nil {
		return nil, err
	}
	return v.Floats(), nil
}

func (v *sqliteTarget) applied(ctx context.Context) (map[int32]int64, error) {
	rows, err := v.db.QueryContext(ctx, `select partition, next from _freshet_offsets where target = ?`, v.name())
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	at := map[int32]int64{}
	for rows.Next() {
		var partition int32
		var next int64
		if err := rows.Scan(&partition, &next); err != nil {
			return nil, err
		}
		at[partition] = next
	}
	return at, rows.Err()
}
