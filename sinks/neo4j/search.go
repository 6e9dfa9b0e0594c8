package neo4j

import (
	"cmp"
	"context"
	"math"
	"slices"

	"github.com/freshet-dev/freshet/stream"
)

// maxIndexed is how many dimensions a vector index takes.
const maxIndexed = 4096

// indexable reports whether vectors of a type get a vector index.
func indexable(t stream.Type) bool {
	return t.Kind == stream.Vector && t.Element == stream.F32 && t.Dims > 0 && t.Dims <= maxIndexed
}

// Candidates for each hit that is asked for, and beside: the index keeps vectors rounded, so they are compared again.
const (
	candidates     = 2
	moreCandidates = 20
)

// Search returns the k rows nearest by cosine distance, by the column's vector index, which is approximate. Rows without a vector, or with one of
// length 0, which is near to nothing, are not found. Of a shared table they are merged rows, without a document.
func (s *Sink) Search(ctx context.Context, name, column string, vector stream.Value, k int) ([]stream.Hit, error) {
	t, err := s.known(name)
	if err != nil {
		return nil, err
	}
	op := s.op("search")
	i := t.column(column)
	switch {
	case i < 0 || t.names[i] == "":
		return nil, stream.Errorf(stream.Usage, op, "table %s has no column %q with a vector index", name, column)
	case vector.Kind() != stream.Vector || vector.Elem() != stream.F32 || vector.Dims() != t.decl.Columns[i].Type.Dims:
		return nil, stream.Errorf(stream.Usage, op, "column %q of table %s is a %s; the query is another", column, name, t.decl.Columns[i].Type)
	}
	like, err := encodeVector(vector, t.decl.Columns[i].Type)
	if err != nil {
		return nil, stream.Errorf(stream.Usage, op, "%w", err)
	}
	rows, err := s.query(ctx, "CALL db.index.vector.queryNodes($index, $k, $like) YIELD node RETURN properties(node)",
		args{"index": t.names[i], "k": int64(k)*candidates + moreCandidates, "like": like})
	if err != nil {
		return nil, s.classed(op, err)
	}
	var hits []stream.Hit
	for _, row := range rows {
		p, _ := row[0].(map[string]any)
		hits = append(hits, t.hit(p, distance(decode(p[column], t.decl.Columns[i].Type).Floats(), vector.Floats())))
	}
	slices.SortStableFunc(hits, func(a, b stream.Hit) int {
		return cmp.Or(cmp.Compare(a.Distance, b.Distance), cmp.Compare(a.Document, b.Document), cmp.Compare(a.Key, b.Key))
	})
	return hits[:min(k, len(hits))], nil
}

// distance is 1 - cosine.
func distance(a, b []float32) float64 {
	var dot, x, y float64
	for i := range min(len(a), len(b)) {
		dot += float64(a[i]) * float64(b[i])
		x += float64(a[i]) * float64(a[i])
		y += float64(b[i]) * float64(b[i])
	}
	return 1 - dot/math.Sqrt(x*y)
}

func (t *table) hit(p args, distance float64) stream.Hit {
	r, _ := t.scanNode(p)
	h := stream.Hit{RowID: r.RowID, Distance: max(0, distance), Version: r.Version}
	for i, c := range t.decl.Columns {
		if c.Type.Kind != stream.Vector {
			h.Columns = append(h.Columns, stream.Entry{Key: c.Name, Value: r.Columns[i]})
		}
	}
	return h
}
