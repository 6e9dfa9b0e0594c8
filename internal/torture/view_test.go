package torture

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"
	"modernc.org/sqlite"

	"github.com/freshet-dev/freshet/stream"
)

// row is a row of either table as a target holds it.
type row struct {
	table, document, key string
	version              int64
	id, rev, parts       int64
	text                 string
	vector               []float32
}

func (s row) identity() string { return s.table + " " + s.document + " " + s.key }

// declared is what the model knows of a row.
func (s row) declared() string {
	return fmt.Sprintf("%s id=%d rev=%d parts=%d %s", s.table, s.id, s.rev, s.parts, s.text)
}

// view reads a target as anybody could.
type view interface {
	name() string
	// whole says that a reader never sees half of a document.
	whole() bool
	// rows are all rows in one snapshot, with their vectors if asked for; none while the tables are not there.
	rows(ctx context.Context, vectors bool) ([]row, error)
}

// views are the flow's targets, each with a connection of its own.
func (r *rig) views(t *testing.T) []view {
	t.Helper()
	return []view{r.postgres(t), r.sqlite(t), r.guarded()}
}

// postgresView reads a schema of the database.
type postgresView struct {
	conn   *pgx.Conn
	schema string
}

func (r *rig) postgres(t *testing.T) *postgresView {
	t.Helper()
	return &postgresView{conn: r.connect(t), schema: r.name}
}

func (r *rig) connect(t *testing.T) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), r.db.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}

func (*postgresView) name() string { return "postgres" }
func (*postgresView) whole() bool  { return true }

func (v *postgresView) rows(ctx context.Context, vectors bool) ([]row, error) {
	var there bool
	schema := pgx.Identifier{v.schema}.Sanitize()
	err := v.conn.QueryRow(ctx, `select to_regclass($1) is not null and to_regclass($2) is not null`, schema+".docs", schema+".chunks").Scan(&there)
	if err != nil || !there {
		return nil, err
	}
	rows, err := v.conn.Query(ctx, fmt.Sprintf(`select 'docs', _document, _key, _version, id, rev, parts, '', null::real[] from %[1]s.docs
		union all select 'chunks', _document, _key, _version, id, rev, 0, text, %[2]s from %[1]s.chunks`, schema, vector(vectors, "embedding")+"::real[]"))
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(c pgx.CollectableRow) (s row, err error) {
		return s, c.Scan(&s.table, &s.document, &s.key, &s.version, &s.id, &s.rev, &s.parts, &s.text, &s.vector)
	})
}

// sqliteView reads a SQLite file beside its owner.
type sqliteView struct {
	path string
	db   *sql.DB
}

func (r *rig) sqlite(t *testing.T) *sqliteView {
	t.Helper()
	db := sql.OpenDB(readOnly("file:" + r.sqliteFile() + "?mode=rw&_pragma=query_only(1)&_pragma=busy_timeout(10000)"))
	t.Cleanup(func() { _ = db.Close() })
	return &sqliteView{path: r.sqliteFile(), db: db}
}

// readOnly opens connections to a database named by a URL.
type readOnly string

// Connect implements driver.Connector.
func (url readOnly) Connect(context.Context) (driver.Conn, error) {
	return new(sqlite.Driver).Open(string(url))
}

// Driver implements driver.Connector.
func (url readOnly) Driver() driver.Driver { return new(sqlite.Driver) }

func (*sqliteView) name() string { return "sqlite" }
func (*sqliteView) whole() bool  { return true }

func (v *sqliteView) rows(ctx context.Context, vectors bool) (all []row, err error) {
	if _, err := os.Stat(v.path); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var tables int
	if err := v.db.QueryRowContext(ctx, `select count(*) from sqlite_master where name in ('docs', 'chunks')`).Scan(&tables); err != nil || tables < 2 {
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

// vector is the column, or null in its place.
func vector(asked bool, column string) string {
	if asked {
		return column
	}
	return "null"
}

func floats(raw []byte) ([]float32, error) {
	v, err := stream.RawVectorOf(stream.F32, raw)
	if err != nil {
		return nil, err
	}
	return v.Floats(), nil
}
