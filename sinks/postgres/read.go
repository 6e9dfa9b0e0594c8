package postgres

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freshet-dev/freshet/stream"
)

// ReadRows reads a table in order of (document, key), bytewise. Timestamps come in microseconds, what is kept as JSON as
// far as the declared type tells.
func (s *Sink) ReadRows(ctx context.Context, name string, each func(stream.RowWrite) error) error {
	t, err := s.known(name)
	if err != nil {
		return err
	}
	sql := t.selectSQL("") + " ORDER BY _document, _key"
	return classed(s.op("read"), s.query(ctx, "", sql, nil, func(values []any) error {
		r, err := t.row(values)
		if err != nil {
			return err
		}
		return each(r)
	}))
}

// Search returns the k rows nearest by cosine distance. With an HNSW index the result is approximate. Rows without a
// vector, or with one of length 0, which is near to nothing, are not found.
func (s *Sink) Search(ctx context.Context, name, columnName string, vector stream.Value, k int) ([]stream.Hit, error) {
	t, err := s.known(name)
	if err != nil {
		return nil, err
	}
	c, found := t.column(columnName)
	if !found || !c.isVector() {
		return nil, stream.Errorf(stream.Usage, s.op("search"), "table %s has no vector column %q", name, columnName)
	}
	like, err := c.encodeVector(vector)
	if err != nil {
		return nil, stream.Errorf(stream.Usage, s.op("search"), "column %s: %w", columnName, err)
	}
	distance := fmt.Sprintf(", %s <=> $1::%s", quote(c.name), c.sql)
	sql := t.selectSQL(distance) + fmt.Sprintf(" WHERE %s IS NOT NULL ORDER BY %s LIMIT $2", quote(c.name), distance[2:])
	var hits []stream.Hit
	err = s.query(ctx, wideSearch, sql, []any{like, k}, func(values []any) error {
		d, _ := values[len(values)-1].(float64)
		r, err := t.row(values)
		if err == nil && !math.IsNaN(d) {
			hits = append(hits, t.hit(r, d))
		}
		return err
	})
	return hits, classed(s.op("search"), err)
}

func (t *table) hit(r stream.RowWrite, distance float64) stream.Hit {
	h := stream.Hit{RowID: r.RowID, Distance: distance, Version: r.Version}
	for i, c := range t.columns {
		if !c.isVector() {
			h.Columns = append(h.Columns, stream.Entry{Key: c.name, Value: r.Columns[i]})
		}
	}
	return h
}

// Round cuts timestamps to microseconds, and passes what is kept as text or JSON through that. See stream.Rounder.
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

func (c column) round(v stream.Value) (stream.Value, error) {
	switch {
	case v.IsNull():
	case c.catalog == "jsonb":
		text, err := appendJSON(nil, v)
		if err != nil {
			return v, err
		}
		return parseJSON(string(text), c.declared)
	case v.Kind() == stream.Decimal:
		return numberOf(v.DecimalText(), c.declared)
	case v.Kind() == stream.Timestamp:
		at := v.Time()
		return stream.TimestampOf(at.Add(-time.Duration(at.Nanosecond() % 1000))), nil
	}
	return v, nil
}

func (s *Sink) known(name string) (*table, error) {
	t := s.tables[name]
	if t == nil {
		return nil, stream.Errorf(stream.Usage, s.op("read"), "it keeps no table %s", name)
	}
	return t, nil
}

// wideSearch lets an index scan find as many rows as it can; the default is 40.
const wideSearch = "SET LOCAL hnsw.ef_search = 1000"

// query runs a statement that reads, row by row, after another that prepares for it.
func (s *Sink) query(ctx context.Context, before, sql string, args []any, each func([]any) error) error {
	return s.transact(ctx, func(tx pgx.Tx) error {
		if before != "" {
			if _, err := tx.Exec(ctx, before); err != nil {
				return err
			}
		}
		all := append([]any{pgx.QueryExecModeDescribeExec}, args...) // not prepared: the table may be made anew
		rows, err := tx.Query(ctx, sql, all...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			values, err := rows.Values()
			if err != nil {
				return err
			}
			if err := each(values); err != nil {
				return err
			}
		}
		return rows.Err()
	})
}

// selectSQL reads document, key, version, lineage, the columns, and what else is given.
func (t *table) selectSQL(also string) string {
	var b strings.Builder
	b.WriteString("SELECT _document, _key, _version, _lineage::text")
	for _, c := range t.columns {
		b.WriteString(", " + c.selection())
	}
	return b.String() + also + " FROM " + t.live.quoted
}

func (t *table) row(values []any) (stream.RowWrite, error) {
	r := stream.RowWrite{RowID: stream.RowID{Table: t.decl.Name}, Columns: make([]stream.Value, len(t.columns))}
	r.Document, _ = values[0].(string)
	r.Key, _ = values[1].(string)
	version, _ := values[2].(int64)
	r.Version = stream.Unpack(version)
	if lineage, ok := values[3].(string); ok {
		r.Lineage = []byte(lineage)
	}
	for i, c := range t.columns {
		v, err := c.decode(values[4+i])
		if err != nil {
			return r, fmt.Errorf("table %q, document %q, column %s: %w", t.name, r.Document, c.name, err)
		}
		r.Columns[i] = v
	}
	return r, nil
}

// decode undoes encode.
func (c column) decode(x any) (stream.Value, error) {
	switch x := x.(type) {
	case nil:
		return stream.Value{}, nil
	case bool:
		return stream.BoolOf(x), nil
	case int64:
		return stream.IntOf(x), nil
	case float64:
		return stream.DoubleOf(x), nil
	case time.Time:
		return stream.TimestampOf(x), nil
	case []byte:
		if c.isVector() {
			return c.decodeVector(x)
		}
		return stream.BytesOf(x), nil
	case string:
		return c.decodeText(x)
	}
	return stream.Value{}, fmt.Errorf("unexpected %T", x)
}

func (c column) decodeText(x string) (stream.Value, error) {
	switch c.catalog {
	case "jsonb":
		return parseJSON(x, c.declared)
	case "numeric":
		return numberOf(x, c.declared)
	}
	return stream.StringOf(x), nil
}
