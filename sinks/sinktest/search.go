package sinktest

import (
	"math"
	"testing"

	"github.com/freshet-dev/freshet/stream"
)

var searchCases = []Case{
	{"search finds the nearest rows", searchNearest},
	{"search refuses what it can't compare", func(t *testing.T, h Harness) {
		w := start(t, h, chunks)
		s := searcher(t, w)
		for name, ask := range map[string]struct {
			table, column string
			vector        []float32
		}{
			"an unknown table":   {"nowhere", "embedding", []float32{1, 0, 0}},
			"an unknown column":  {"chunks", "nowhere", []float32{1, 0, 0}},
			"no vector column":   {"chunks", "text", []float32{1, 0, 0}},
			"another dimensions": {"chunks", "embedding", []float32{1, 0}},
		} {
			_, err := s.Search(t.Context(), ask.table, ask.column, stream.VectorOf(ask.vector), 3)
			wantKind(t, err, stream.Usage, "search with "+name)
		}
	}},
}

func searcher(t *testing.T, w *writer) stream.Searcher {
	t.Helper()
	s, ok := w.sink.(stream.Searcher)
	if !ok {
		t.Skip("this kind of target does not search")
	}
	return s
}

func searchNearest(t *testing.T, h Harness) {
	w := start(t, h, chunks)
	s := searcher(t, w)
	w.apply(unit(vectorRow("a", 1, 0, 0), vectorRow("b", 0.8, 0.6, 0), vectorRow("c", -1, 0, 0)), unit(vectorRow("gone", 1, 0, 0)),
		unit(put("chunks", "none", "", stream.Value{}, stream.Value{}, stream.StringOf("no vector"))))
	w.apply(unit(del("chunks", "gone", "")), unit(vectorRow("d", 0, 0, 5)))

	hits, err := s.Search(t.Context(), "chunks", "embedding", stream.VectorOf([]float32{2, 0, 0}), 3)
	noError(t, err, "search")
	want := []struct {
		document string
		distance float64
	}{{"a", 0}, {"b", 0.2}, {"d", 1}}
	if len(hits) != len(want) {
		t.Fatalf("%d hits, want %d: %+v", len(hits), len(want), hits)
	}
	for i, x := range want {
		if hits[i].Document != x.document || math.Abs(hits[i].Distance-x.distance) > 1e-5 {
			t.Errorf("hit %d is %s at %g, want %s at %g", i, hits[i].Document, hits[i].Distance, x.document, x.distance)
		}
	}
	checkHit(t, hits[1])
}

func checkHit(t *testing.T, hit stream.Hit) {
	t.Helper()
	if hit.Table != "chunks" || hit.Version != (stream.Version{Generation: generation, Offset: 1}) {
		t.Errorf("hit is of table %q, version %v", hit.Table, hit.Version)
	}
	if len(hit.Columns) != 2 || hit.Columns[0].Key != "n" || !hit.Columns[1].Value.Equal(stream.StringOf("text of b")) {
		t.Errorf("hit has columns %+v, want n and text", hit.Columns)
	}
}

func vectorRow(document string, v ...float32) stream.RowWrite {
	return put("chunks", document, "", stream.VectorOf(v), stream.IntOf(1), stream.StringOf("text of "+document))
}
