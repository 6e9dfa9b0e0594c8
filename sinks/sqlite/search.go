package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/freshet-dev/freshet/stream"
)

// Search compares the vector with every row's: exact, and fast enough for some hundred thousand rows. Rows without a
// vector, or whose vector is all zeros, are no hits. See stream.Searcher.
func (s *Sink) Search(ctx context.Context, name, column string, vector stream.Value, k int) ([]stream.Hit, error) {
	t, err := s.searchable(name, column, vector)
	if err != nil {
		return nil, err
	}
	rows, err := s.query(ctx, "search", t.nearest(column), blob(vector.Raw()), len(vector.Raw()), k)
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // Err below tells
	var hits []stream.Hit
	var distance sql.NullFloat64
	scan := newScan(t, &distance)
	for rows.Next() {
		r, err := scan.row(rows)
		if err != nil {
			return nil, classed(s.op("search"), s.path, err)
		}
		if distance.Valid {
			hits = append(hits, hit(t, r, distance.Float64))
		}
	}
	return hits, classed(s.op("search"), s.path, rows.Err())
}

// nearest orders by distance, then by identity, before it fetches whole rows.
func (t *table) nearest(column string) string {
	columns := t.columnList()
	for i, c := range columns {
		columns[i] = "held." + c
	}
	return fmt.Sprintf(`SELECT near.distance, %s FROM
		(SELECT _document, _key, vec_distance_cosine(%s, ?) AS distance FROM %s WHERE length(%s) = ?
			ORDER BY distance NULLS LAST, _document, _key LIMIT ?) AS near
		JOIN %s AS held ON held._document = near._document AND held._key = near._key
		ORDER BY near.distance NULLS LAST, near._document, near._key`,
		strings.Join(columns, ", "), quoted(column), quoted(t.name), quoted(column), quoted(t.name))
}

func (s *Sink) searchable(name, column string, vector stream.Value) (*table, error) {
	op := s.op("search")
	t := s.table(name)
	if t == nil {
		return nil, stream.Errorf(stream.Usage, op, "table %q is not one of this target's", name)
	}
	for _, c := range t.Columns {
		if c.Name != column {
			continue
		}
		if c.Type.Kind != stream.Vector || c.Type.Element != stream.F32 || vector.Elem() != stream.F32 {
			return nil, stream.Errorf(stream.Usage, op, "column %q of table %q is a %s; only vectors of f32 can be searched", column, name, c.Type)
		}
		if c.Type.Dims > 0 && vector.Dims() != c.Type.Dims {
			return nil, stream.Errorf(stream.Usage, op, "column %q of table %q has %d dimensions, the query %d", column, name, c.Type.Dims, vector.Dims())
		}
		return t, nil
	}
	return nil, stream.Errorf(stream.Usage, op, "table %q has no column %q", name, column)
}

func hit(t *table, r stream.RowWrite, distance float64) stream.Hit {
	h := stream.Hit{RowID: r.RowID, Distance: distance, Version: r.Version}
	for i, c := range t.Columns {
		if !c.Type.Kind.IsVector() {
			h.Columns = append(h.Columns, stream.Entry{Key: c.Name, Value: r.Columns[i]})
		}
	}
	return h
}
