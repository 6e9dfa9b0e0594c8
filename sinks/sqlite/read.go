package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
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

// Inspect reads what the file holds of a partition. See stream.Inspector.
func (s *Sink) Inspect(ctx context.Context, partition int32) (a stream.Applied, err error) {
	var next, end sql.NullInt64
	rows, err := s.query(ctx, "inspect", `SELECT topic_id, generation, next, rebuild_next, rebuild_end FROM _freshet_offsets
		WHERE flow = ? AND target = ? AND partition = ?`, s.flow, s.target, partition)
	if err != nil {
		return a, err
	}
	defer rows.Close() //nolint:errcheck // Err below tells
	if rows.Next() {
		if err := rows.Scan(&a.TopicID, &a.Generation, &a.Next, &next, &end); err != nil {
			return a, classed(s.op("inspect"), s.path, err)
		}
	}
	a.Rebuild = rebuild(next, end)
	return a, classed(s.op("inspect"), s.path, rows.Err())
}

// Round passes what lies in the file as text through that. See stream.Rounder.
func (s *Sink) Round(name string, columns []stream.Value) ([]stream.Value, error) {
	t := s.table(name)
	if t == nil || len(columns) != len(t.Columns) {
		return nil, stream.Errorf(stream.Usage, s.op("read"), "table %q of %d columns is not one of this target's", name, len(columns))
	}
	out := slices.Clone(columns)
	for i, c := range t.Columns {
		if !isJSON(c.Type.Kind) && c.Type.Kind != stream.Decimal {
			continue
		}
		x, err := encode(columns[i], c.Type)
		if err == nil {
			out[i], err = decode(x, c.Type)
		}
		if err != nil {
			return nil, stream.Errorf(stream.Usage, s.op("read"), "column %s of table %s: %w", c.Name, name, err)
		}
	}
	return out, nil
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
