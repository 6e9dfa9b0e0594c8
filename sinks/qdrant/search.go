package qdrant

import (
	"cmp"
	"context"
	"slices"

	"github.com/qdrant/go-client/qdrant"

	"github.com/freshet-dev/freshet/stream"
)

// Search finds the rows nearest by cosine distance, tombstones aside, by the server's index. See stream.Searcher.
func (s *Sink) Search(ctx context.Context, name, column string, vector stream.Value, k int) ([]stream.Hit, error) {
	op := "search target " + s.target
	t, err := s.searchable(op, name, column, vector)
	if err != nil {
		return nil, err
	}
	if err := s.store.connect(); err != nil {
		return nil, err
	}
	points, err := s.store.client.Query(ctx, &qdrant.QueryPoints{CollectionName: t.collection, Using: qdrant.PtrOf(escaped(column)),
		Query: qdrant.NewQueryDense(vector.Floats()), Filter: alive(), Limit: qdrant.PtrOf(uint64(k)),
		WithPayload: qdrant.NewWithPayload(true), WithVectors: qdrant.NewWithVectors(false)})
	if err != nil {
		return nil, classed("search", err)
	}
	hits := make([]stream.Hit, 0, len(points))
	for _, p := range points {
		hits = append(hits, t.hit(p))
	}
	slices.SortStableFunc(hits, func(a, b stream.Hit) int {
		return cmp.Or(cmp.Compare(a.Distance, b.Distance), cmp.Compare(a.Document, b.Document), cmp.Compare(a.Key, b.Key))
	})
	return hits, nil
}

func (t *table) hit(p *qdrant.ScoredPoint) stream.Hit {
	h := stream.Hit{Distance: 1 - float64(p.GetScore()), Version: stream.Unpack(p.Payload[versionKey].GetIntegerValue()),
		RowID: stream.RowID{Table: t.Name, Document: p.Payload[documentKey].GetStringValue(), Key: p.Payload[keyKey].GetStringValue()}}
	exact := p.Payload[exactKey].GetStructValue().GetFields()
	for _, c := range t.Columns {
		if !isVector(c) {
			h.Columns = append(h.Columns, stream.Entry{Key: c.Name, Value: readColumn(c, p.Payload[c.Name], exact[c.Name])})
		}
	}
	return h
}

// searchable finds the table, and refuses what can't be compared.
func (s *Sink) searchable(op, name, column string, vector stream.Value) (*table, error) {
	var t *table
	for _, other := range s.store.tables {
		if other.Name == name {
			t = other
		}
	}
	if t == nil {
		return nil, stream.Errorf(stream.Usage, op, "table %q is not one of this target's", name)
	}
	i := slices.IndexFunc(t.Columns, func(c stream.Field) bool { return c.Name == column })
	if i < 0 {
		return nil, stream.Errorf(stream.Usage, op, "table %q has no column %q", name, column)
	}
	c := t.Columns[i]
	switch {
	case c.Type.Kind != stream.Vector || vector.Kind() != stream.Vector || vector.Elem() != stream.F32:
		return nil, stream.Errorf(stream.Usage, op, "column %q of table %q is a %s; only vectors can be searched, by vectors of f32", column, name, c.Type)
	case vector.Dims() != c.Type.Dims:
		return nil, stream.Errorf(stream.Usage, op, "column %q of table %q has %d dimensions, the query %d", column, name, c.Type.Dims, vector.Dims())
	case t.distance != qdrant.Distance_Cosine:
		return nil, stream.Errorf(stream.Usage, op, "table %q compares by %s; this search compares by cosine", name, t.distance)
	}
	return t, nil
}
