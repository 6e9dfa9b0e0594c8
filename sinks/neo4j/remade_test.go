package neo4j_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/freshet-dev/freshet/stream"
)

// TestTablesComeBack: tables that were left out for a time are made anew with what was derived from them, and a rebuild fills them.
func TestTablesComeBack(t *testing.T) {
	d := empty(t)
	w := newWriter(t, openGraph(t, d), 0)
	must(t, w.edit(t, rand.New(rand.NewPCG(3, 4)), 60))

	few := slices.DeleteFunc(graphTables(), func(t stream.TargetTable) bool {
		return !slices.Contains([]string{"pages", "chunks", "has"}, t.Table.Name)
	})
	sink, err := newSink(d.url, few...)
	must(t, err)
	t.Cleanup(func() { must(t, sink.Close()) })
	if changed, err := sink.Open(t.Context(), "graph", "kg"); err != nil || len(changed) > 0 {
		t.Fatalf("with fewer tables: %q, %v", changed, err)
	}
	w.sink, err = newSink(d.url, graphTables()...)
	must(t, err)
	t.Cleanup(func() { must(t, w.sink.Close()) })
	changed, err := w.sink.Open(t.Context(), "graph", "kg")
	must(t, err)
	if want := []string{"entities", "links", "mentions", "relations"}; !slices.Equal(changed, want) {
		t.Fatalf("changed: %q, want %q", changed, want)
	}
	must(t, w.sink.Recreate(t.Context(), changed))
	left := map[string]rows{}
	for document, now := range w.documents {
		left[document] = maps.Clone(now)
		maps.DeleteFunc(left[document], func(id stream.RowID, _ []stream.Value) bool { return slices.Contains(changed, id.Table) })
	}
	d.want(t, left)
	a, err := w.sink.Assign(t.Context(), 0, stream.Origin{})
	must(t, err)
	if a.Rebuild == nil || *a.Rebuild != (stream.Rebuild{End: w.next}) {
		t.Fatalf("assigned with rebuild %v", a.Rebuild)
	}
	w.rebuild(t)
	d.want(t, w.documents)
}

// TestSweepOfAGraph: what a new generation did not write again is gone, with what it contributed.
func TestSweepOfAGraph(t *testing.T) {
	d := empty(t)
	w := newWriter(t, openGraph(t, d), 0)
	must(t, w.edit(t, rand.New(rand.NewPCG(5, 6)), 60))
	must(t, w.sink.Adopt(t.Context(), 0, stream.Origin{TopicID: "another", Generation: 2}, 0))
	kept := map[string]rows{}
	b := stream.Batch{}
	for document, now := range w.documents {
		if len(kept) == 5 {
			break
		}
		kept[document] = now
		u := stream.Unit{Document: document}
		for id, columns := range now {
			u.Rows = append(u.Rows, stream.RowWrite{RowID: id, Columns: columns, Version: stream.Version{Generation: 2, Offset: b.To}})
			b.To++
		}
		b.Units = append(b.Units, u)
	}
	must(t, w.sink.Apply(t.Context(), b))
	d.want(t, w.documents)
	must(t, w.sink.Sweep(t.Context(), 0, 1, stream.Version{Generation: 2}))
	d.want(t, kept)
}

// TestRefusedDeclarations: each says which table, and what is wrong with it.
func TestRefusedDeclarations(t *testing.T) {
	chunks := stream.TargetTable{Table: chunkTable, Settings: settings("node", "Chunk")}
	for name, tables := range map[string][]stream.TargetTable{
		"an end that is no node table":       {edgeOf(hasTable, "HAS", "Page", "page", "Chunk", "chunk"), chunks},
		"an end without its column":          {edgeOf(hasTable, "HAS", "Chunk", "page", "Chunk", "nowhere"), chunks},
		"two tables of one label":            {chunks, {Table: pageTable, Settings: settings("node", "Chunk")}},
		"a label of the bookkeeping":         {{Table: pageTable, Settings: settings("node", "_freshet_row")}},
		"a column that has a meaning":        {{Table: stream.Table{Name: "t", Columns: fields("_key", text)}}},
		"an end without an edge":             {{Table: pageTable, Settings: stream.Settings{Values: stream.MapOf(stream.Entry{Key: "from", Value: stream.ListOf(stream.StringOf("Chunk"))})}}},
		"a label and a type":                 {{Table: pageTable, Settings: settings("node", "Page", "edge", "HAS")}},
		"an edge without ends":               {{Table: pageTable, Settings: settings("edge", "HAS")}},
		"shared edges of a document's nodes": {chunks, edgeOf(relationTable, "type", "Chunk", "from", "Chunk", "to")},
	} {
		if _, err := newSink("bolt://localhost", tables...); stream.KindOf(err) != stream.Usage {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, url := range []string{"http://localhost", "bolt://", "bolt://u:secret@localhost/path", "bolt+ssc://localhost"} {
		sink, err := newSink(url)
		if err == nil {
			_, err = sink.Open(t.Context(), "graph", "kg")
		}
		if stream.KindOf(err) != stream.Usage || err == nil || fmt.Sprint(err) == "" {
			t.Errorf("%s: %v", url, err)
		}
	}
}
