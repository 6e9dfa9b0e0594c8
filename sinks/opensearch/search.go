package opensearch

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"

	"github.com/freshet-dev/freshet/sinks/jsonvalue"
	"github.com/freshet-dev/freshet/stream"
)

// nearest is the body of a search for vectors.
type nearest struct {
	Size   int                       `json:"size"`
	Query  map[string]map[string]knn `json:"query"`
	Source excluded                  `json:"_source"`
}

type knn struct {
	Vector []float32 `json:"vector"`
	K      int       `json:"k"`
}

type excluded struct {
	Excludes []string `json:"excludes"`
}

// Search finds the rows nearest by cosine distance, by the server's index; tombstones have no vectors. See stream.Searcher.
func (s *Sink) Search(ctx context.Context, name, by string, vector stream.Value, k int) ([]stream.Hit, error) {
	t, c, err := s.searchable(name, by, vector)
	if err != nil {
		return nil, err
	}
	if err := s.store.server.Connect(); err != nil {
		return nil, err
	}
	if err := s.store.refresh(ctx, t.index); err != nil {
		return nil, err
	}
	ask := nearest{Size: k, Query: map[string]map[string]knn{"knn": {c.field: {vector.Floats(), k}}}}
	for _, other := range t.columns {
		if other.Type.Kind == stream.Vector {
			ask.Source.Excludes = append(ask.Source.Excludes, other.field)
		}
	}
	body, err := json.Marshal(ask)
	if err != nil {
		return nil, err
	}
	f, err := s.store.search(ctx, "search", []string{t.index, "_search"}, "", string(body))
	if err != nil {
		return nil, err
	}
	hits := make([]stream.Hit, 0, len(f.Hits.Hits))
	for _, h := range f.Hits.Hits {
		hits = append(hits, t.hit(h))
	}
	slices.SortStableFunc(hits, func(a, b stream.Hit) int {
		return cmp.Or(cmp.Compare(a.Distance, b.Distance), cmp.Compare(a.Document, b.Document), cmp.Compare(a.Key, b.Key))
	})
	return hits, nil
}

// hit turns a document found into a result. Its score is half of 2 minus the distance.
func (t *table) hit(h hit) stream.Hit {
	row := t.row(h.Source)
	found := stream.Hit{Distance: 2 - 2*h.Score, Version: row.Version, RowID: stream.RowID{Table: t.Name, Document: row.Document, Key: row.Key}}
	for n, c := range t.columns {
		if c.Type.Kind != stream.Vector {
			found.Columns = append(found.Columns, stream.Entry{Key: c.Name, Value: row.Columns[n]})
		}
	}
	return found
}

// searchable finds the table and the column, and refuses what can't be compared.
func (s *Sink) searchable(name, by string, vector stream.Value) (t *table, c column, err error) {
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
	i := slices.IndexFunc(t.columns, func(c column) bool { return c.Name == by })
	if i < 0 {
		return refuse("table %q has no column %q", name, by)
	}
	switch c = t.columns[i]; {
	case c.Type.Kind != stream.Vector || vector.Kind() != stream.Vector || vector.Elem() != stream.F32 || c.Type.Element == stream.I8:
		return refuse("column %q of table %q is a %s; only vectors of floats can be searched, by vectors of f32", by, name, c.Type)
	case vector.Dims() != c.Type.Dims:
		return refuse("column %q of table %q has %d dimensions, the query %d", by, name, c.Type.Dims, vector.Dims())
	case t.space != cosine:
		return refuse("table %q compares by %s; this search compares by cosine", name, t.space)
	case !t.comparable(jsonvalue.Floats(vector)):
		return refuse("the query's vector has no direction: its length is zero, or beyond single precision")
	}
	return t, c, nil
}
