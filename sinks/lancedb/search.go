package lancedb

import (
	"cmp"
	"context"
	"slices"

	"github.com/freshet-dev/freshet/stream"
)

// The bounds of a vector's squared length, within which single precision can work.
const shortest, longest = 1e-30, 1e37

// leastDistance is below every cosine distance. Vectors that are too short for single precision get minus infinity, and are left out.
var leastDistance = -0.5

// Search finds the rows nearest by cosine distance, by an index if somebody made one, else by comparing all. See stream.Searcher.
func (s *Sink) Search(ctx context.Context, name, by string, vec stream.Value, k int) ([]stream.Hit, error) {
	t, c, err := s.searchable(name, by, vec)
	if err != nil {
		return nil, err
	}
	if err := s.store.server.Connect(); err != nil {
		return nil, err
	}
	var hits []stream.Hit
	q := question{K: k, Vector: vector{vec.Floats()}, VectorColumn: c.as, Distance: "cosine", Lower: &leastDistance, Filter: alive, Prefilter: true}
	err = s.store.ask(ctx, "search", t.place, q, func(a answer, row int) error {
		hits = append(hits, t.hit(a, row))
		return nil
	})
	slices.SortStableFunc(hits, func(a, b stream.Hit) int {
		return cmp.Or(cmp.Compare(a.Distance, b.Distance), inOrder(a.RowID, b.RowID))
	})
	return hits, err
}

// hit turns a row found into a result.
func (t *table) hit(a answer, row int) stream.Hit {
	i := t.row(a, row)
	found := stream.Hit{Distance: a.distance(row), Version: i.Version, RowID: i.RowID}
	found.Table = t.Name
	for n, c := range t.columns {
		if c.Type.Kind != stream.Vector {
			found.Columns = append(found.Columns, stream.Entry{Key: c.Name, Value: i.Columns[n]})
		}
	}
	return found
}

// searchable finds the table and the column, and refuses what can't be compared.
func (s *Sink) searchable(name, by string, vec stream.Value) (t *table, c column, err error) {
	refuse := func(format string, args ...any) (*table, column, error) {
		return nil, c, stream.Errorf(stream.Usage, "search target "+s.target, format, args...)
	}
	for _, other := range s.store.tables {
		if other.Name == name {
			t = other
		}
	}
	if t == nil {
		return refuse("table %q is not one of this target's", name)
	}
	c, i := t.column(by)
	if i < 0 {
		return refuse("table %q has no column %q", name, by)
	}
	switch {
	case c.Type.Kind != stream.Vector || vec.Kind() != stream.Vector || vec.Elem() != stream.F32 || c.Type.Element == stream.I8:
		return refuse("column %q of table %q is a %s; only vectors of floats can be searched, by vectors of f32", by, name, c.Type)
	case vec.Dims() != c.Type.Dims:
		return refuse("column %q of table %q has %d dimensions, the query %d", by, name, c.Type.Dims, vec.Dims())
	case !hasDirection(vec.Floats()):
		return refuse("the query's vector has no direction: its length is zero, or beyond single precision")
	}
	return t, c, nil
}

// hasDirection reports whether single precision can compare a vector with others; it can't for NaN.
func hasDirection(floats []float32) bool {
	square := 0.0
	for _, f := range floats {
		square += float64(f) * float64(f)
	}
	return square >= shortest && square <= longest
}
