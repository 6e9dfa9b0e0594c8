package neo4j_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/freshet-dev/freshet/stream"
)

// writer applies documents' rows to one partition, as a delivery does.
type writer struct {
	sink      stream.Sink
	partition int32
	next      int64
	documents map[string]rows
}

func newWriter(t testing.TB, sink stream.Sink, partition int32) *writer {
	t.Helper()
	origin := stream.Origin{Flow: "graph", Target: "kg", TopicID: "topic", Generation: 1}
	_, err := sink.Assign(t.Context(), partition, origin)
	must(t, err)
	must(t, sink.Adopt(t.Context(), partition, origin, 0))
	return &writer{sink: sink, partition: partition, documents: map[string]rows{}}
}

func openGraph(t testing.TB, d database) stream.Sink {
	t.Helper()
	sink, err := newSink(d.url, graphTables()...)
	must(t, err)
	t.Cleanup(func() { must(t, sink.Close()) })
	changed, err := sink.Open(t.Context(), "graph", "kg")
	must(t, err)
	if len(changed) > 0 {
		t.Fatalf("changed: %q", changed)
	}
	return sink
}

// unit turns what a document says now into row writes, and remembers it.
func (w *writer) unit(document string, now rows) stream.Unit {
	u := stream.Unit{Document: document}
	was := w.documents[document]
	for id := range was {
		if _, stays := now[id]; !stays {
			u.Rows = append(u.Rows, stream.RowWrite{RowID: id, Delete: true})
		}
	}
	for id, columns := range now {
		u.Rows = append(u.Rows, stream.RowWrite{RowID: id, Columns: columns})
	}
	w.documents[document] = now
	return u
}

func (w *writer) batch(units ...stream.Unit) stream.Batch {
	b := stream.Batch{Partition: w.partition, From: w.next, Units: units}
	for _, u := range units {
		for i := range u.Rows {
			u.Rows[i].Version = stream.Version{Generation: 1, Offset: w.next}
			w.next++
		}
	}
	b.To = w.next
	return b
}

func (w *writer) apply(t testing.TB, document string, now rows) {
	t.Helper()
	must(t, w.sink.Apply(t.Context(), w.batch(w.unit(document, now))))
}

// rebuild stages every row, as the compacted rows topic gives them, and switches.
func (w *writer) rebuild(t testing.TB) {
	t.Helper()
	must(t, w.sink.StartRebuild(t.Context(), w.partition, w.next))
	b := stream.Batch{Partition: w.partition, To: w.next}
	for document, now := range w.documents {
		u := stream.Unit{Document: document}
		for id, columns := range now {
			u.Rows = append(u.Rows, stream.RowWrite{RowID: id, Columns: columns, Version: stream.Version{Generation: 1, Offset: 1}})
		}
		b.Units = append(b.Units, u)
	}
	must(t, w.sink.Stage(t.Context(), b))
	must(t, w.sink.Switch(t.Context(), w.partition, w.next))
}

// TestEndsInAnyOrder lets a relationship come before, between and after its ends, and its ends go and come back.
func TestEndsInAnyOrder(t *testing.T) {
	d := empty(t)
	w := newWriter(t, openGraph(t, d), 0)
	link := rows{}
	link.put("links", "a", "l", "a", "b")
	page := func(document string, with rows) rows {
		r := maps.Clone(with)
		r.put("pages", document, "", "title")
		return r
	}
	for _, step := range []struct {
		document string
		now      rows
	}{
		{"a", link}, {"a", page("a", link)}, {"b", page("b", rows{})}, {"b", rows{}}, {"b", page("b", rows{})}, {"a", page("a", rows{})},
		{"a", page("a", link)}, {"a", link}, {"a", page("a", link)}, {"a", rows{}},
	} {
		w.apply(t, step.document, step.now)
		d.want(t, w.documents)
	}
}

// TestSharedNode: the node lives while one contribution does, and its properties are those that the remaining ones give.
func TestSharedNode(t *testing.T) {
	d := empty(t)
	w := newWriter(t, openGraph(t, d), 0)
	says := func(document string, columns ...any) rows {
		r := rows{}
		r.put("entities", document, "e", columns...)
		return r
	}
	w.apply(t, "b", says("b", "long text", "b's kind", 1))
	d.want(t, w.documents)
	w.apply(t, "a", says("a", "short", nil, 5))
	d.want(t, w.documents)
	w.apply(t, "c", says("c", nil, "c's kind", 5))
	d.want(t, w.documents)
	if n := d.ask(t, "MATCH (n:Entity) RETURN n._count", nil); fmt.Sprint(n) != "[[3]]" {
		t.Errorf("the node counts %v contributions", n)
	}
	w.apply(t, "b", rows{})
	d.want(t, w.documents)
	w.apply(t, "a", rows{})
	w.apply(t, "c", rows{})
	d.want(t, w.documents)
}

// TestGraphEqualsItsRows is the law: after random edits, by several partitions at once, of documents that share entities, the graph is the one
// that is computed from scratch.
func TestGraphEqualsItsRows(t *testing.T) {
	const partitions, rounds, edits = 3, 17, 200 // 10,200 edits
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	d := empty(t)
	sink := openGraph(t, d)
	writers := make([]*writer, partitions)
	randoms := make([]*rand.Rand, partitions)
	for p := range writers {
		writers[p] = newWriter(t, sink, int32(p))
		randoms[p] = rand.New(rand.NewPCG(seed, uint64(p)))
	}
	for range rounds {
		var all sync.WaitGroup
		errs := make([]error, partitions)
		for p, w := range writers {
			all.Go(func() { errs[p] = w.edit(t, randoms[p], edits) })
		}
		all.Wait()
		documents := map[string]rows{}
		for p, w := range writers {
			must(t, errs[p])
			maps.Copy(documents, w.documents)
		}
		d.want(t, documents)
	}
}

// edit applies random edits in batches of random sizes.
func (w *writer) edit(t testing.TB, random *rand.Rand, edits int) error {
	for edits > 0 {
		var units []stream.Unit
		for range min(edits, 1+random.IntN(80)) {
			document := fmt.Sprint("doc ", 3*random.IntN(14)+int(w.partition))
			units = append(units, w.unit(document, draw(random, document)))
		}
		edits -= len(units)
		if err := w.sink.Apply(t.Context(), w.batch(units...)); err != nil {
			return err
		}
	}
	return nil
}

// TestRebuildRepairsAGraph damages what readers see by hand: ReadRows shows it, and a rebuild repairs it.
func TestRebuildRepairsAGraph(t *testing.T) {
	d := empty(t)
	sink := openGraph(t, d)
	w := newWriter(t, sink, 0)
	random := rand.New(rand.NewPCG(1, 2))
	must(t, w.edit(t, random, 100))
	d.want(t, w.documents)
	w.wantRows(t, "")
	for _, damage := range []struct{ table, cypher string }{
		{"entities", "MATCH (n:Entity) WITH n LIMIT 1 SET n.about = 'by hand'"},
		{"entities", "MATCH (n:Entity) WITH n LIMIT 1 DETACH DELETE n"},
		{"mentions", "MATCH ()-[r:MENTIONS]->() WITH r LIMIT 1 DELETE r"},
		{"has", "MATCH ()-[r:HAS]->() WITH r LIMIT 1 SET r.chunk = 'by hand'"},
		{"relations", "MATCH (:Entity)-[r]->(:Entity) WITH r LIMIT 1 SET r.weight = 'by hand'"},
		{"chunks", "MATCH (n:Chunk) WITH n LIMIT 1 DETACH DELETE n"},
	} {
		d.ask(t, damage.cypher, nil)
		w.wantRows(t, damage.table)
		w.rebuild(t)
		d.want(t, w.documents)
		w.wantRows(t, "")
	}
}

// wantRows demands that the rows that are read differ from those written in the damaged table, and in no other but those whose ends went with it.
func (w *writer) wantRows(t testing.TB, damaged string) {
	t.Helper()
	for _, declared := range graphTables() {
		name := declared.Table.Name
		read := map[stream.RowID]bool{}
		must(t, w.sink.(stream.Reader).ReadRows(t.Context(), name, func(r stream.RowWrite) error {
			read[r.RowID] = fmt.Sprint(r.Columns) == fmt.Sprint(w.documents[r.Document][r.RowID])
			return nil
		}))
		differ := 0
		for _, now := range w.documents {
			for id := range now {
				if id.Table == name && !read[id] {
					differ++
				}
			}
		}
		if (damaged == "" || name == damaged) && (differ > 0) != (name == damaged) {
			t.Errorf("%d rows of %s differ after damage to %q", differ, name, damaged)
		}
	}
}
