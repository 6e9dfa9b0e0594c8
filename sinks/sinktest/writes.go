package sinktest

import (
	"testing"

	"github.com/freshet-dev/freshet/stream"
)

var writeCases = []Case{
	{"rows survive a reopen", func(t *testing.T, h Harness) {
		w := start(t, h, chunks, pages)
		w.apply(unit(page("b", "B"), chunk("b", "2", 2), chunk("b", "1", 1)), unit(chunk("a", "9", 9)))
		w.close()
		w = open(t, h, chunks, pages)
		w.want("chunks", at(3, chunk("a", "9", 9)), at(2, chunk("b", "1", 1)), at(1, chunk("b", "2", 2)))
		w.want("pages", at(0, page("b", "B")))
		if a := w.assign(0); a.Next != 4 || a.TopicID != origin.TopicID || a.Generation != generation || a.Rebuild != nil {
			t.Fatalf("assign after a reopen: %+v", a)
		}
	}},
	{"what is held is told without taking it", func(t *testing.T, h Harness) {
		w := start(t, h, chunks)
		w.apply(unit(chunk("a", "1", 1)))
		rival := open(t, h, chunks)
		rival.inspects(0, stream.Applied{TopicID: origin.TopicID, Generation: generation, Next: 1})
		rival.inspects(1, stream.Applied{})
		w.apply(unit(chunk("a", "1", 2)))
		noError(t, w.sink.StartRebuild(t.Context(), 0, 2), "start rebuild")
		rival.inspects(0, stream.Applied{TopicID: origin.TopicID, Generation: generation, Next: 2, Rebuild: &stream.Rebuild{End: 2}})
	}},
	{"open is repeatable", func(t *testing.T, h Harness) {
		w := start(t, h, chunks)
		w.apply(unit(chunk("a", "1", 1)))
		for range 2 {
			changed, err := w.sink.Open(t.Context(), flow, target)
			noError(t, err, "open again")
			if len(changed) > 0 {
				t.Fatalf("open again says that %q changed", changed)
			}
		}
		w.want("chunks", chunk("a", "1", 1))
	}},
	{"the last write of a key in a batch wins", func(t *testing.T, h Harness) {
		w := start(t, h, chunks)
		w.apply(unit(chunk("a", "1", 1)), unit(chunk("a", "1", 2)), unit(chunk("b", "1", 9)), unit(chunk("a", "1", 3)))
		w.want("chunks", at(3, chunk("a", "1", 3)), at(2, chunk("b", "1", 9)))
	}},
	{"upsert, delete, upsert of a key in a batch", func(t *testing.T, h Harness) {
		w := start(t, h, chunks)
		w.apply(unit(chunk("a", "1", 1)), unit(del("chunks", "a", "1")), unit(chunk("a", "1", 3)), unit(chunk("b", "1", 4)),
			unit(del("chunks", "b", "1")))
		w.want("chunks", at(2, chunk("a", "1", 3)))
	}},
	{"batches take effect in order", func(t *testing.T, h Harness) {
		w := start(t, h, chunks)
		for n := range 20 {
			w.apply(unit(chunk("a", "1", n)), unit(chunk("a", "2", n)))
		}
		w.want("chunks", at(38, chunk("a", "1", 19)), at(39, chunk("a", "2", 19)))
	}},
	{"delete and resurrection", func(t *testing.T, h Harness) {
		w := start(t, h, chunks)
		w.apply(unit(chunk("a", "1", 1), chunk("a", "2", 2)))
		w.apply(unit(del("chunks", "a", "1"), del("chunks", "a", "2"), del("chunks", "a", "never there")))
		w.want("chunks")
		w.apply(unit(chunk("a", "1", 5)))
		w.want("chunks", at(5, chunk("a", "1", 5)))
	}},
	{"the same key in two documents and two tables", func(t *testing.T, h Harness) {
		w := start(t, h, chunks, pages)
		w.apply(unit(chunk("a", "", 1), page("a", "A")), unit(chunk("b", "", 2), page("b", "B")))
		w.apply(unit(del("chunks", "a", ""), del("pages", "b", "")))
		w.want("chunks", chunk("b", "", 2))
		w.want("pages", page("a", "A"))
	}},
	{"a replayed batch is refused", func(t *testing.T, h Harness) {
		w := start(t, h, chunks)
		first := w.batch(0, unit(chunk("a", "1", 1)))
		w.apply(unit(chunk("a", "1", 1)))
		w.apply(unit(chunk("a", "1", 2)))
		wantKind(t, w.sink.Apply(t.Context(), first), stream.Fenced, "replay")
		w.want("chunks", at(1, chunk("a", "1", 2)))
	}},
	{"a gap is refused", func(t *testing.T, h Harness) {
		w := start(t, h, chunks)
		ahead := number(0, generation, 5, []stream.Unit{unit(chunk("a", "1", 1))})
		wantKind(t, w.sink.Apply(t.Context(), ahead), stream.Fenced, "apply ahead of the stored offset")
		w.want("chunks")
	}},
	{"an older version has no effect", olderVersion},
	{"an empty batch moves the offset", func(t *testing.T, h Harness) {
		w := start(t, h, chunks)
		noError(t, w.sink.Apply(t.Context(), stream.Batch{From: 0, To: 17}), "apply an empty batch")
		if a := w.assign(0); a.Next != 17 {
			t.Fatalf("next is %d, want 17", a.Next)
		}
		w.apply(unit(chunk("a", "1", 1)))
		w.want("chunks", at(17, chunk("a", "1", 1)))
	}},
	{"partitions keep their own place", func(t *testing.T, h Harness) {
		w := start(t, h, chunks)
		w.begin(3)
		w.apply(unit(chunk("a", "1", 1), chunk("a", "2", 2)))
		w.applyTo(3, unit(chunk("b", "1", 1)))
		w.sink.Release(0)
		if a, b := w.assign(0), w.assign(3); a.Next != 2 || b.Next != 1 {
			t.Fatalf("next offsets %d and %d, want 2 and 1", a.Next, b.Next)
		}
	}},
}

// olderVersion plays records again below the versions held, as after a rewind: Invariant 3.
func olderVersion(t *testing.T, h Harness) {
	w := start(t, h, chunks)
	w.apply(unit(chunk("a", "1", 1), chunk("a", "2", 2)))
	w.apply(unit(chunk("a", "1", 3), chunk("a", "2", 4)))
	noError(t, w.sink.Adopt(t.Context(), 0, origin, 0), "adopt from the beginning")
	w.next[0] = 0
	w.apply(unit(chunk("a", "1", 7), del("chunks", "a", "2")))
	w.want("chunks", at(2, chunk("a", "1", 3)), at(3, chunk("a", "2", 4)))
}
