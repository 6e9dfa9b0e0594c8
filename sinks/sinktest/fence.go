package sinktest

import (
	"fmt"
	"sync"
	"testing"

	"github.com/freshet-dev/freshet/stream"
)

// Invariant 4: a stale writer is refused and changes nothing.
var fenceCases = []Case{
	{"a zombie is fenced", func(t *testing.T, h Harness) {
		zombie := start(t, h, chunks)
		zombie.apply(unit(chunk("a", "1", 1)))
		heir := open(t, h, chunks)
		heir.assign(0)
		b := zombie.batch(0, unit(chunk("a", "1", 66)), unit(del("chunks", "a", "1")))
		wantKind(t, zombie.sink.Apply(t.Context(), b), stream.Fenced, "apply by the zombie")
		heir.want("chunks", at(0, chunk("a", "1", 1)))
		heir.apply(unit(chunk("a", "1", 2)))
		wantKind(t, zombie.sink.Apply(t.Context(), b), stream.Fenced, "apply by the zombie, later")
		heir.want("chunks", at(1, chunk("a", "1", 2)))
	}},
	{"a zombie can do nothing else either", zombieActs},
	{"a zombie of one partition goes on with the others", func(t *testing.T, h Harness) {
		old := start(t, h, chunks)
		old.begin(1)
		heir := open(t, h, chunks)
		heir.assign(0)
		old.applyTo(1, unit(chunk("b", "1", 1)))
		wantKind(t, old.sink.Apply(t.Context(), old.batch(0, unit(chunk("a", "1", 1)))), stream.Fenced, "apply to partition 0")
		heir.want("chunks", chunk("b", "1", 1))
	}},
	{"an unassigned partition is refused", func(t *testing.T, h Harness) {
		w := start(t, h, chunks)
		wantKind(t, w.sink.Apply(t.Context(), w.batch(5, unit(chunk("a", "1", 1)))), stream.Fenced, "apply without assign")
		w.sink.Release(0)
		wantKind(t, w.sink.Apply(t.Context(), w.batch(0, unit(chunk("a", "1", 1)))), stream.Fenced, "apply after release")
		w.want("chunks")
	}},
	{"partitions are written concurrently", concurrentPartitions},
	{"two writers race for a partition", racingWriters},
}

func zombieActs(t *testing.T, h Harness) {
	zombie := start(t, h, chunks)
	zombie.apply(unit(chunk("a", "1", 1)))
	heir := open(t, h, chunks)
	heir.assign(0)
	ctx := t.Context()
	acts := map[string]func() error{
		"adopt":         func() error { return zombie.sink.Adopt(ctx, 0, originOf("other", 9), 0) },
		"start rebuild": func() error { return zombie.sink.StartRebuild(ctx, 0, 1) },
		"stage":         func() error { return zombie.sink.Stage(ctx, stream.Batch{To: 1}) },
		"switch":        func() error { return zombie.sink.Switch(ctx, 0, 1) },
		"sweep":         func() error { return zombie.sink.Sweep(ctx, 0, 1, stream.Version{Generation: 9}) },
	}
	for name, act := range acts {
		wantKind(t, act(), stream.Fenced, name+" by the zombie")
	}
	heir.want("chunks", at(0, chunk("a", "1", 1)))
	if a := heir.assign(0); a.Next != 1 || a.TopicID != origin.TopicID || a.Rebuild != nil {
		t.Fatalf("the zombie left %+v", a)
	}
}

// concurrentPartitions writes overlapping ranges of keys from several partitions at once: no deadlock, nothing lost.
func concurrentPartitions(t *testing.T, h Harness) {
	const partitions, batches = 4, 8
	w := open(t, h, chunks)
	for p := range int32(partitions) {
		w.begin(p)
	}
	var wg sync.WaitGroup
	errs := make([]error, partitions)
	for p := range int32(partitions) {
		wg.Go(func() { errs[p] = writeBatches(t, w.sink, p, batches) })
	}
	wg.Wait()
	for p, err := range errs {
		noError(t, err, fmt.Sprintf("apply to partition %d", p))
	}
	if n := len(w.read("chunks")); n != partitions*10 {
		t.Fatalf("%d rows, want %d", n, partitions*10)
	}
}

func writeBatches(t *testing.T, sink stream.Sink, partition int32, batches int) error {
	next := int64(0)
	for n := range batches {
		var units []stream.Unit
		for i := range 10 {
			units = append(units, unit(chunk(fmt.Sprintf("doc %d", i), fmt.Sprint(partition), n)))
		}
		b := number(partition, generation, next, units)
		if err := sink.Apply(t.Context(), b); err != nil {
			return err
		}
		next = b.To
	}
	return nil
}

// racingWriters lets two instances take the partition from each other: each batch counts exactly once.
func racingWriters(t *testing.T, h Harness) {
	const turns = 15
	start(t, h, chunks).close()
	a, b := open(t, h, chunks), open(t, h, chunks)
	var wg sync.WaitGroup
	errs := make([]error, 2)
	for i, w := range []*writer{a, b} {
		wg.Go(func() { errs[i] = takeTurns(t, w.sink, turns) })
	}
	wg.Wait()
	noError(t, errs[0], "first writer")
	noError(t, errs[1], "second writer")
	next := a.assign(0).Next
	rows := a.read("chunks")
	allowed := next
	if !h.Is.Transactional {
		allowed++ // a writer that lost the race may have put its row, which the next owner puts again
	}
	if n := int64(len(rows)); n < next || n > allowed {
		t.Fatalf("%d rows but next offset %d: each applied batch writes one row of its own", len(rows), next)
	}
	for _, r := range rows {
		if want := fmt.Sprintf("%03d", r.Version.Offset); r.Document != want {
			t.Fatalf("row %q has version %v", r.Document, r.Version)
		}
	}
}

func takeTurns(t *testing.T, sink stream.Sink, turns int) error {
	for range turns {
		a, err := sink.Assign(t.Context(), 0, origin)
		if err != nil {
			return err
		}
		row := chunk(fmt.Sprintf("%03d", a.Next), "", int(a.Next))
		err = sink.Apply(t.Context(), number(0, generation, a.Next, []stream.Unit{unit(row)}))
		// Neither done nor refused: the outcome is not known, and taking the partition again tells.
		if kind := stream.KindOf(err); err != nil && kind != stream.Fenced && kind != stream.Transient {
			return err
		}
	}
	return nil
}
