package sinktest

import (
	"testing"

	"github.com/freshet-dev/freshet/stream"
)

var rebuildCases = []Case{
	{"a rebuild repairs the rows", repair},
	{"a rebuild goes on after a crash", continueRebuild},
	{"a delete during a rebuild is not undone by the switch", deleteDuringRebuild},
	{"a rebuild that starts again empties the stage", func(t *testing.T, h Harness) {
		w := start(t, h, chunks)
		w.apply(unit(chunk("a", "1", 1)))
		noError(t, w.sink.StartRebuild(t.Context(), 0, 1), "start rebuild")
		w.stage(0, unit(chunk("ghost", "1", 1)))
		noError(t, w.sink.StartRebuild(t.Context(), 0, 1), "start rebuild again")
		w.stage(0, unit(chunk("a", "1", 1)))
		noError(t, w.sink.Switch(t.Context(), 0, 1), "switch")
		w.want("chunks", at(0, chunk("a", "1", 1)))
	}},
	{"stage refuses a replay and a gap", func(t *testing.T, h Harness) {
		w := start(t, h, chunks)
		w.apply(unit(chunk("a", "1", 1)), unit(chunk("b", "1", 1)))
		noError(t, w.sink.StartRebuild(t.Context(), 0, 2), "start rebuild")
		for _, from := range []int64{1, 5} {
			b := number(0, generation, from, []stream.Unit{unit(chunk("a", "1", 1))})
			wantKind(t, w.sink.Stage(t.Context(), b), stream.Fenced, "stage out of order")
		}
	}},
	{"a rebuild of one partition leaves the others alone", func(t *testing.T, h Harness) {
		w := start(t, h, chunks)
		w.begin(1)
		w.apply(unit(chunk("a", "1", 1)))
		w.applyTo(1, unit(chunk("b", "1", 1)))
		noError(t, w.sink.StartRebuild(t.Context(), 1, 1), "start rebuild of partition 1")
		noError(t, w.sink.StartRebuild(t.Context(), 0, 1), "start rebuild of partition 0")
		w.stage(1, unit(chunk("b", "1", 1)))
		w.stage(0, unit(del("chunks", "a", "1")))
		noError(t, w.sink.Switch(t.Context(), 0, 1), "switch partition 0")
		w.want("chunks", chunk("b", "1", 1))
		noError(t, w.sink.Switch(t.Context(), 1, 1), "switch partition 1")
		w.want("chunks", chunk("b", "1", 1))
	}},
	{"a rebuild of an empty topic empties the partition", func(t *testing.T, h Harness) {
		w := start(t, h, chunks)
		noError(t, w.sink.StartRebuild(t.Context(), 0, 0), "start rebuild")
		noError(t, w.sink.Switch(t.Context(), 0, 0), "switch")
		if a := w.assign(0); a.Next != 0 || a.Rebuild != nil {
			t.Fatalf("after the switch: %+v", a)
		}
	}},
	{"a switch may move the offset on", func(t *testing.T, h Harness) {
		w := start(t, h, chunks)
		noError(t, w.sink.StartRebuild(t.Context(), 0, 2), "start rebuild")
		w.stage(0, unit(chunk("a", "1", 1)), unit(chunk("b", "1", 1)))
		if h.Is.Transactional {
			w.want("chunks")
		}
		noError(t, w.sink.Switch(t.Context(), 0, 2), "switch")
		w.next[0] = 2
		w.apply(unit(chunk("a", "1", 9)))
		w.want("chunks", at(2, chunk("a", "1", 9)), at(1, chunk("b", "1", 1)))
	}},
	{"sweep deletes rows of older generations", sweep},
	{"a rebuild during the first pass keeps what is not written again yet", rebuildInFirstPass},
	{"sweep spares what a rebuild has staged", func(t *testing.T, h Harness) {
		w := afterReset(t, h)
		noError(t, w.sink.StartRebuild(t.Context(), 0, 2), "start rebuild")
		w.stage(0, unit(chunk("a", "1", 5)), unit(chunk("b", "1", 6)))
		noError(t, w.sink.Sweep(t.Context(), 0, 1, stream.Version{Generation: generation + 1}), "sweep")
		if got := ids(w.read("chunks")); len(got) != 2 {
			t.Fatalf("a reader sees %v after the sweep, want the two documents that are staged", got)
		}
		noError(t, w.sink.Switch(t.Context(), 0, 2), "switch")
		w.want("chunks", chunk("a", "1", 5), chunk("b", "1", 6))
	}},
	{"sweep takes the partitions beyond the count", func(t *testing.T, h Harness) {
		w := open(t, h, chunks)
		for p := range int32(4) {
			w.begin(p)
			w.applyTo(p, unit(chunk("doc", string(rune('0'+p)), int(p))))
		}
		noError(t, w.sink.Sweep(t.Context(), 1, 2, stream.Version{Generation: generation + 1}), "sweep")
		w.want("chunks", chunk("doc", "0", 0), chunk("doc", "2", 2))
	}},
	{"adopt keeps the rows", adopt},
	{"adopt forgets the rebuild of another topic", func(t *testing.T, h Harness) {
		w := start(t, h, chunks)
		w.apply(unit(chunk("a", "1", 1)))
		noError(t, w.sink.StartRebuild(t.Context(), 0, 1), "start rebuild")
		noError(t, w.sink.Adopt(t.Context(), 0, originOf("topic-2", generation+1), 0), "adopt")
		if a := w.assign(0); a.Rebuild != nil || a.Next != 0 || a.TopicID != "topic-2" {
			t.Fatalf("after adopt: %+v", a)
		}
	}},
}

// stage writes the units as the next batch of the partition's rebuild, numbered from the first record on.
func (w *writer) stage(partition int32, units ...stream.Unit) {
	w.t.Helper()
	w.stageFrom(partition, 0, units...)
}

func (w *writer) stageFrom(partition int32, from int64, units ...stream.Unit) {
	w.t.Helper()
	noError(w.t, w.sink.Stage(w.t.Context(), number(partition, w.gen, from, units)), "stage")
}

// repair: the live rows stay until the switch, where the target has a stage; then an edited row is repaired, a stray one is gone, a lost one is back,
// and what is newer than the rebuild's end stays.
func repair(t *testing.T, h Harness) {
	w := start(t, h, chunks, pages)
	w.apply(unit(chunk("a", "1", 1), chunk("a", "2", 2), page("a", "A")), unit(chunk("b", "1", 3)))
	h.Edit(t, stream.RowID{Table: "chunks", Document: "a", Key: "1"}, "text", "edited by hand")
	noError(t, w.sink.StartRebuild(t.Context(), 0, 4), "start rebuild")
	w.apply(unit(chunk("c", "1", 5)), unit(chunk("a", "2", 6)))

	w.stageFrom(0, 0, unit(chunk("a", "1", 1), chunk("a", "2", 2), page("a", "A"), chunk("lost", "1", 7)))
	if h.Is.Transactional {
		edited := chunk("a", "1", 1)
		edited.Columns[2] = stream.StringOf("edited by hand")
		w.want("chunks", edited, at(5, chunk("a", "2", 6)), chunk("b", "1", 3), chunk("c", "1", 5))
	}

	noError(t, w.sink.Switch(t.Context(), 0, 4), "switch")
	w.want("chunks", at(0, chunk("a", "1", 1)), at(5, chunk("a", "2", 6)), at(4, chunk("c", "1", 5)), at(3, chunk("lost", "1", 7)))
	w.want("pages", at(2, page("a", "A")))
	if a := w.assign(0); a.Next != 6 || a.Rebuild != nil {
		t.Fatalf("after the switch: %+v", a)
	}
}

func continueRebuild(t *testing.T, h Harness) {
	w := start(t, h, chunks)
	w.apply(unit(chunk("a", "1", 1)), unit(chunk("b", "1", 2)), unit(chunk("b", "1", 3)))
	noError(t, w.sink.StartRebuild(t.Context(), 0, 3), "start rebuild")
	w.stageFrom(0, 0, unit(chunk("a", "1", 1)), unit(chunk("b", "1", 2)))

	heir := open(t, h, chunks)
	a := heir.assign(0)
	if a.Rebuild == nil || *a.Rebuild != (stream.Rebuild{Next: 2, End: 3}) || a.Next != 3 {
		t.Fatalf("assign in the middle of a rebuild: %+v", a)
	}
	wantKind(t, w.sink.Switch(t.Context(), 0, 3), stream.Fenced, "switch by the zombie")
	heir.stageFrom(0, 2, unit(chunk("b", "1", 3)))
	heir.apply(unit(chunk("c", "1", 4)))
	noError(t, heir.sink.Switch(t.Context(), 0, 3), "switch")
	heir.want("chunks", at(0, chunk("a", "1", 1)), at(2, chunk("b", "1", 3)), at(3, chunk("c", "1", 4)))
}

// deleteDuringRebuild deletes a row that was staged already, and one that is staged later: both stay deleted, and a row
// that was written again after its delete stays as written.
func deleteDuringRebuild(t *testing.T, h Harness) {
	w := start(t, h, chunks)
	w.apply(unit(chunk("a", "1", 1)), unit(chunk("b", "1", 2)), unit(chunk("c", "1", 3)))
	noError(t, w.sink.StartRebuild(t.Context(), 0, 3), "start rebuild")
	w.stageFrom(0, 0, unit(chunk("a", "1", 1)))
	w.apply(unit(del("chunks", "a", "1")), unit(del("chunks", "b", "1")), unit(del("chunks", "c", "1")), unit(chunk("c", "1", 9)))
	w = open(t, h, chunks)
	w.assign(0)
	w.stageFrom(0, 1, unit(chunk("b", "1", 2)), unit(chunk("c", "1", 3)))
	noError(t, w.sink.Switch(t.Context(), 0, 3), "switch")
	w.want("chunks", at(6, chunk("c", "1", 9)))
}

// sweep: after a reset the flow writes everything again under a new topic and generation; what it did not write is gone.
func sweep(t *testing.T, h Harness) {
	w := start(t, h, chunks, pages)
	w.apply(unit(chunk("a", "1", 1), chunk("a", "2", 2), page("a", "A"), page("b", "B")))
	noError(t, w.sink.Adopt(t.Context(), 0, originOf("topic-2", generation+1), 0), "adopt")
	w.next[0], w.gen = 0, generation+1
	w.apply(unit(chunk("a", "1", 1), page("a", "A")))
	noError(t, w.sink.Sweep(t.Context(), 0, 1, stream.Version{Generation: generation + 1}), "sweep")
	w.want("chunks", chunk("a", "1", 1))
	w.want("pages", page("a", "A"))
	if v := w.read("chunks")[0].Version; v != (stream.Version{Generation: generation + 1}) {
		t.Fatalf("version %v", v)
	}
}

// afterReset returns a writer of a new generation, of which nothing is applied yet, over rows of the one before.
func afterReset(t *testing.T, h Harness) *writer {
	w := start(t, h, chunks)
	w.apply(unit(chunk("a", "1", 1)), unit(chunk("b", "1", 2)), unit(chunk("c", "1", 3)))
	noError(t, w.sink.Adopt(t.Context(), 0, originOf("topic-2", generation+1), 0), "adopt")
	w.next[0], w.gen = 0, generation+1
	return w
}

// rebuildInFirstPass: the new generation has written a only; b and c are still to come, or to be swept.
func rebuildInFirstPass(t *testing.T, h Harness) {
	w := afterReset(t, h)
	w.apply(unit(chunk("a", "1", 5)))
	noError(t, w.sink.StartRebuild(t.Context(), 0, 1), "start rebuild")
	w.stage(0, unit(chunk("a", "1", 5)))
	noError(t, w.sink.Switch(t.Context(), 0, 1), "switch")
	w.want("chunks", chunk("a", "1", 5), at(1, chunk("b", "1", 2)), at(2, chunk("c", "1", 3)))
	w.apply(unit(chunk("b", "1", 6)))
	noError(t, w.sink.Sweep(t.Context(), 0, 1, stream.Version{Generation: generation + 1}), "sweep")
	w.want("chunks", chunk("a", "1", 5), chunk("b", "1", 6))
}

func adopt(t *testing.T, h Harness) {
	w := start(t, h, chunks)
	w.apply(unit(chunk("a", "1", 1)))
	noError(t, w.sink.Adopt(t.Context(), 0, originOf("topic-2", generation+1), 42), "adopt")
	w.close()
	w = open(t, h, chunks)
	if a := w.assign(0); a.TopicID != "topic-2" || a.Generation != generation+1 || a.Next != 42 {
		t.Fatalf("after adopt: %+v", a)
	}
	w.want("chunks", at(0, chunk("a", "1", 1)))
}
