package neo4j_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/freshet-dev/freshet/stream"
)

// TestTwinsOpenAtOnce: writers that start at the same moment on an empty database make it together, and none finds a table changed.
func TestTwinsOpenAtOnce(t *testing.T) {
	d := empty(t)
	sinks := make([]stream.Sink, 6)
	changed, errs := make([][]string, len(sinks)), make([]error, len(sinks))
	var all sync.WaitGroup
	for i := range sinks {
		var err error
		sinks[i], err = newSink(d.url, graphTables()...)
		must(t, err)
		t.Cleanup(func() { must(t, sinks[i].Close()) })
		all.Go(func() { changed[i], errs[i] = sinks[i].Open(t.Context(), "graph", "kg") })
	}
	all.Wait()
	for i := range sinks {
		if must(t, errs[i]); len(changed[i]) > 0 {
			t.Errorf("changed: %q", changed[i])
		}
	}
}

// TestTwinWaits: a writer that starts while another makes the database waits for it, and finds nothing changed.
func TestTwinWaits(t *testing.T) {
	d := empty(t)
	l := newLink(t, "", "")
	making := l.hold([]byte("CREATE CONSTRAINT _freshet_place_is_unique"))
	defer making.release()
	open := func(d database) <-chan error {
		sink, err := newSink(d.url, graphTables()...)
		must(t, err)
		t.Cleanup(func() { must(t, sink.Close()) })
		ended := make(chan error, 1)
		go func() {
			changed, err := sink.Open(t.Context(), "graph", "kg")
			if len(changed) > 0 {
				t.Errorf("changed: %q", changed)
			}
			ended <- err
		}()
		return ended
	}
	first := open(l.leads(d))
	select {
	case <-making.held:
	case err := <-first:
		t.Fatalf("it ended without making anything: %v", err)
	}
	second := open(d)
	d.waitsForALock(t, second)
	making.release()
	must(t, <-first)
	must(t, <-second)
}

// TestTwinHasMadeIt: tables of a new declaration are made anew by the first of two writers alone; what it has applied stays, and so does its epoch.
func TestTwinHasMadeIt(t *testing.T) {
	d := empty(t)
	newWriter(t, openGraph(t, d), 0).apply(t, "a", rows{})
	tables := graphTables()
	tables[0].Settings = settings("node", "Leaf")
	for i := range tables {
		if tables[i].Table.Name == "has" {
			tables[i] = edgeOf(hasTable, "HAS", "Leaf", "page", "Chunk", "chunk")
		} else if tables[i].Table.Name == "links" {
			tables[i] = edgeOf(linkTable, "LINKS", "Leaf", "page", "Leaf", "target")
		}
	}
	var twins [2]stream.Sink
	var changed [2][]string
	for i := range twins {
		var err error
		twins[i], err = newSink(d.url, tables...)
		must(t, err)
		t.Cleanup(func() { must(t, twins[i].Close()) })
		if changed[i], err = twins[i].Open(t.Context(), "graph", "kg"); err != nil || len(changed[i]) == 0 {
			t.Fatalf("changed: %q, %v", changed[i], err)
		}
	}
	must(t, twins[0].Recreate(t.Context(), changed[0]))
	w := newWriter(t, twins[0], 0)
	said := rows{}
	said.put("pages", "a", "", "title")
	w.apply(t, "a", said)
	must(t, twins[1].Recreate(t.Context(), changed[1]))
	w.apply(t, "b", rows{})
	if found := d.ask(t, "MATCH (n:Leaf) RETURN n.title", nil); fmt.Sprint(found) != "[[title]]" {
		t.Errorf("the database has %v", found)
	}
}

// TestPartitionsTakeTurns: a partition whose rows belong to a node that another is writing sees them, though they were not committed when it began.
func TestPartitionsTakeTurns(t *testing.T) {
	d := empty(t)
	l := newLink(t, "", "")
	first, second := newWriter(t, openGraph(t, l.leads(d)), 0), newWriter(t, openGraph(t, d), 1)
	says := func(document, about string) rows {
		r := rows{}
		r.put("entities", document, "e", about, nil, 1)
		return r
	}
	first.apply(t, "z", rows{}) // the target's lock is there
	ended, meets := make(chan error, 1), make(chan error, 1)
	done := l.hold(commit)
	defer done.release()
	go func(b stream.Batch) { ended <- first.sink.Apply(t.Context(), b) }(first.batch(first.unit("a", says("a", "the longer text"))))
	select {
	case <-done.held:
	case err := <-ended:
		t.Fatalf("it ended without a commit: %v", err)
	}
	go func(b stream.Batch) { meets <- second.sink.Apply(t.Context(), b) }(second.batch(second.unit("b", says("b", "short"))))
	d.waitsForALock(t, meets)
	done.release()
	must(t, <-ended)
	must(t, <-meets)
	d.want(t, map[string]rows{"a": first.documents["a"], "b": second.documents["b"]})
}

// waitsForALock returns when a transaction waits for another's lock, and fails when what was to wait ends.
func (d database) waitsForALock(t *testing.T, ends <-chan error) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for len(d.ask(t, "SHOW TRANSACTIONS YIELD status WHERE status STARTS WITH 'Blocked' RETURN status", nil)) == 0 {
		select {
		case <-tick.C:
		case err := <-ends:
			t.Fatalf("it waited for nobody, and ended with %v", err)
		}
	}
}
