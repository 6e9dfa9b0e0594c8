package sinktest

import (
	"testing"

	"github.com/freshet-dev/freshet/stream"
)

var shapeCases = []Case{
	{"a foreign table is refused", func(t *testing.T, h Harness) {
		h.MakeForeign(t, "chunks")
		w := newWriter(t, h, chunks)
		_, err := w.sink.Open(t.Context(), flow, target)
		wantKind(t, err, stream.Usage, "open over a foreign table")
	}},
	{"another flow's table is refused", func(t *testing.T, h Harness) {
		start(t, h, chunks).close()
		w := newWriter(t, h, chunks)
		_, err := w.sink.Open(t.Context(), "another flow", target)
		wantKind(t, err, stream.Usage, "open over another flow's table")
		_, err = w.sink.Open(t.Context(), flow, "another target")
		wantKind(t, err, stream.Usage, "open over another target's table")
	}},
	{"a table altered by hand is refused", func(t *testing.T, h Harness) {
		start(t, h, chunks).close()
		h.Alter(t, "chunks")
		w := newWriter(t, h, chunks)
		_, err := w.sink.Open(t.Context(), flow, target)
		wantKind(t, err, stream.Usage, "open over an altered table")
	}},
	{"a changed declaration is reported, untouched", func(t *testing.T, h Harness) {
		w := start(t, h, chunks, pages)
		w.apply(unit(page("a", "A"), chunk("a", "1", 1)))
		w.close()
		wantChanged(t, newWriter(t, h, chunks, longPages), "pages")
		w = open(t, h, chunks, pages)
		w.want("pages", page("a", "A"))
	}},
	{"recreate makes a changed table anew and notes the rebuild", recreate},
	{"a table dropped by hand is not taken for an empty one", func(t *testing.T, h Harness) {
		w := start(t, h, chunks, pages)
		w.apply(unit(page("a", "A"), chunk("a", "1", 1)))
		w.close()
		h.Drop(t, "pages")
		w = newWriter(t, h, chunks, pages)
		wantChanged(t, w, "pages")
		noError(t, w.sink.Recreate(t.Context(), []string{"pages"}), "recreate")
		wantRebuild(t, w, 2)
	}},
	{"a table that comes late needs a rebuild", func(t *testing.T, h Harness) {
		w := start(t, h, chunks)
		w.apply(unit(chunk("a", "1", 1)))
		w.close()
		w = newWriter(t, h, chunks, pages)
		wantChanged(t, w, "pages")
		noError(t, w.sink.Recreate(t.Context(), []string{"pages"}), "recreate")
		wantRebuild(t, w, 1)
		w.want("chunks", chunk("a", "1", 1))
		w.want("pages")
	}},
	{"a table that was left out and comes back needs a rebuild", func(t *testing.T, h Harness) {
		w := start(t, h, chunks, pages)
		w.apply(unit(page("a", "A"), chunk("a", "1", 1)))
		w.close()
		w = open(t, h, chunks)
		w.assign(0)
		w.apply(unit(chunk("a", "1", 2)))
		w.close()
		wantChanged(t, newWriter(t, h, chunks, pages), "pages")
	}},
	{"drop removes what the target made, and nothing else", drop},
}

var longPages = stream.Table{Name: "pages", Columns: []stream.Field{
	{Name: "summary", Type: stream.TypeString.OrNull()},
	{Name: "title", Type: stream.TypeString.OrNull()},
}}

func recreate(t *testing.T, h Harness) {
	w := start(t, h, chunks, pages)
	w.apply(unit(page("a", "A"), chunk("a", "1", 1)), unit(page("b", "B")))
	w.close()

	w = newWriter(t, h, chunks, longPages)
	wantChanged(t, w, "pages")
	noError(t, w.sink.Recreate(t.Context(), []string{"pages"}), "recreate")
	wantRebuild(t, w, 3)
	w.want("pages")
	w.want("chunks", at(1, chunk("a", "1", 1)))
	w.close()

	w = open(t, h, chunks, longPages) // a crash here forgets nothing
	wantRebuild(t, w, 3)
	long := put("pages", "a", "", stream.StringOf("short"), stream.StringOf("A"))
	w.stage(0, unit(long, chunk("a", "1", 1)), unit(del("pages", "b", "")))
	noError(t, w.sink.Switch(t.Context(), 0, 3), "switch")
	w.want("pages", at(0, long))
	w.want("chunks", at(1, chunk("a", "1", 1)))
	if a := w.assign(0); a.Next != 3 || a.Rebuild != nil {
		t.Fatalf("after the switch: %+v", a)
	}
}

// drop is for targets that are stream.Dropper.
func drop(t *testing.T, h Harness) {
	w := start(t, h, chunks, pages)
	dropper, can := w.sink.(stream.Dropper)
	if !can {
		return
	}
	w.apply(unit(page("a", "A"), chunk("a", "1", 1)))
	h.MakeForeign(t, "others")
	stale := open(t, h, chunks, pages)
	stale.assign(0)
	w.close()

	w = open(t, h, chunks, pages)
	dropper = w.sink.(stream.Dropper)
	noError(t, dropper.Drop(t.Context()), "drop")
	err := stale.sink.Apply(t.Context(), stale.batch(0, unit(page("b", "B"))))
	if err == nil {
		t.Error("who took the partition before goes on writing")
	}
	stale.close()
	noError(t, dropper.Drop(t.Context()), "drop again")
	w.close()

	another := newWriter(t, h, chunks, pages) // the names are free
	changed, err := another.sink.Open(t.Context(), "another flow", target)
	noError(t, err, "open as another flow")
	if len(changed) > 0 {
		t.Errorf("open as another flow says that %q changed", changed)
	}
	noError(t, another.sink.(stream.Dropper).Drop(t.Context()), "drop as another flow")
	another.close()

	w = open(t, h, chunks, pages)
	if a := w.assign(0); a.TopicID != "" || a.Next != 0 || a.Rebuild != nil {
		t.Errorf("the target still says %+v", a)
	}
	w.want("pages")
	w.want("chunks")
	w.close()
	w = newWriter(t, h, stream.Table{Name: "others", Columns: pages.Columns})
	_, err = w.sink.Open(t.Context(), flow, target)
	wantKind(t, err, stream.Usage, "open over a foreign table")
}

func wantChanged(t *testing.T, w *writer, table string) {
	t.Helper()
	changed, err := w.sink.Open(t.Context(), flow, target)
	noError(t, err, "open")
	if len(changed) != 1 || changed[0] != table {
		t.Fatalf("open says that %q changed, want %q", changed, table)
	}
}

func wantRebuild(t *testing.T, w *writer, end int64) {
	t.Helper()
	a := w.assign(0)
	if a.Rebuild == nil || a.Rebuild.Next != 0 || a.Rebuild.End != end {
		t.Fatalf("assign returns rebuild %+v, want [0, %d)", a.Rebuild, end)
	}
	if a.Next != end {
		t.Fatalf("assign returns next %d, want %d", a.Next, end)
	}
}
