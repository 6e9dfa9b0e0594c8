package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/freshet-dev/freshet/stream"
)

// ReadRows calls each with the table's rows in order of (document, key), from one snapshot. See stream.Reader.
func (s *Sink) ReadRows(ctx context.Context, name string, each func(stream.RowWrite) error) error {
	t := s.table(name)
	if t == nil {
		return stream.Errorf(stream.Usage, s.op("read"), "table %q is not one of this target's", name)
	}
	query := fmt.Sprintf("SELECT %s FROM %s ORDER BY _document, _key", strings.Join(t.columnList(), ", "), quoted(t.name))
	rows, err := s.query(ctx, "read", query)
	if err != nil {
		return err
	}
	defer rows.Close() //nolint:errcheck // Err below tells
	scan := newScan(t)
	for rows.Next() {
		r, err := scan.row(rows)
		if err != nil {
			return classed(s.op("read table "+name+" of"), s.path, err)
		}
		if err := each(r); err != nil {
			return err
		}
	}
	return classed(s.op("read"), s.path, rows.Err())
}

func (s *Sink) query(ctx context.Context, doing, query string, args ...any) (*sql.Rows, error) {
	if s.read == nil {
		return nil, stream.Errorf(stream.Internal, s.op(doing), "the sink is not open")
	}
	rows, err := s.read.QueryContext(ctx, query, args...)
	return rows, classed(s.op(doing), s.path, err)
}

// scan reads rows whose columns are columnList's, after those of dest.
type scan struct {
	table         *table
	document, key string
	version       int64
	partition     int64
	lineage       sql.NullString
	columns       []any
	dest          []any
}

func newScan(t *table, before ...any) *scan {
	s := &scan{table: t, columns: make([]any, len(t.Columns))}
	s.dest = append(before, &s.document, &s.key, &s.version, &s.partition, &s.lineage)
	for i := range s.columns {
		s.dest = append(s.dest, &s.columns[i])
	}
	return s
}

func (s *scan) row(rows *sql.Rows) (stream.RowWrite, error) {
	if err := rows.Scan(s.dest...); err != nil {
		return stream.RowWrite{}, err
	}
	r := stream.RowWrite{RowID: stream.RowID{Table: s.table.Name, Document: s.document, Key: s.key},
		Version: stream.Unpack(s.version), Columns: make([]stream.Value, len(s.columns))}
	if s.lineage.Valid {
		r.Lineage = []byte(s.lineage.String)
	}
	for i, c := range s.table.Columns {
		v, err := decode(s.columns[i], c.Type)
		if err != nil {
			return r, fmt.Errorf("document %s, key %s, column %s: %w", s.document, s.key, c.Name, err)
		}
		r.Columns[i] = v
	}
	return r, nil
}
