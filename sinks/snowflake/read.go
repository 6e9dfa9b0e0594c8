package snowflake

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"

	"github.com/freshet-dev/freshet/stream"
)

// ReadRows reads a table in order of (document, key), bytewise. Timestamps come in microseconds, what is kept as JSON as far as the declared
// type tells.
func (s *Sink) ReadRows(ctx context.Context, name string, each func(stream.RowWrite) error) error {
	t, err := s.known(name)
	if err != nil {
		return err
	}
	return classed(s.op("read"), s.query(ctx, t.selectSQL(), len(t.columns)+4, func(values []any) error {
		r, err := t.row(values)
		if err != nil {
			return err
		}
		return each(r)
	}))
}

// Round gives a row's values as ReadRows returns them. See stream.Rounder.
func (s *Sink) Round(name string, columns []stream.Value) ([]stream.Value, error) {
	t, err := s.known(name)
	if err != nil {
		return nil, err
	}
	if len(columns) != len(t.columns) {
		return nil, stream.Errorf(stream.Usage, s.op("read"), "table %s has %d columns, not %d", name, len(t.columns), len(columns))
	}
	out := make([]stream.Value, len(columns))
	for i, c := range t.columns {
		if out[i], err = c.round(columns[i]); err != nil {
			return nil, stream.Errorf(stream.Usage, s.op("read"), "column %s of table %s: %w", c.name, name, err)
		}
	}
	return out, nil
}

func (s *Sink) known(name string) (*table, error) {
	t := s.tables[name]
	if t == nil {
		return nil, stream.Errorf(stream.Usage, s.op("read"), "it keeps no table %s", name)
	}
	return t, nil
}

// query runs one statement that reads, row by row. Readers see one state: a statement of Snowflake's does.
func (s *Sink) query(ctx context.Context, query string, width int, each func([]any) error) error {
	return s.alone(ctx, "read", func(conn *sql.Conn) error { return eachRow(ctx, conn, query, width, each) })
}

func eachRow(ctx context.Context, conn *sql.Conn, query string, width int, each func([]any) error) error {
	rows, err := conn.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer rows.Close()
	values, into := make([]any, width), make([]any, width)
	for i := range values {
		into[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return err
		}
		if err := each(values); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (t *table) row(values []any) (stream.RowWrite, error) {
	r := stream.RowWrite{RowID: stream.RowID{Table: t.decl.Name}, Columns: make([]stream.Value, len(t.columns))}
	r.Document, _ = values[0].(string)
	r.Key, _ = values[1].(string)
	text, _ := values[2].(string)
	version, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return r, fmt.Errorf("table %q, document %q, column _version: %w", t.name, r.Document, err)
	}
	r.Version = stream.Unpack(version)
	if lineage, ok := values[3].(string); ok {
		r.Lineage = []byte(lineage)
	}
	for i, c := range t.columns {
		if r.Columns[i], err = c.decode(values[4+i]); err != nil {
			return r, fmt.Errorf("table %q, document %q, column %s: %w", t.name, r.Document, c.name, err)
		}
	}
	return r, nil
}
