package sinktest

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/freshet-dev/freshet/stream"
)

// The editions of a table that rolls out, as targets keep them.
var (
	blue  = edition(1)
	green = edition(2)
)

func edition(n int64) stream.TargetTable {
	t := stream.TargetTable{Table: chunks, Front: "chunks"}
	t.Table.Name = stream.EditionName("chunks", n)
	return t
}

var frontCases = []Case{
	{"a front shows one table, then another, and the first again", func(t *testing.T, h Harness) {
		w := editions(t, h, blue, green)
		for _, e := range []stream.TargetTable{blue, green, green, blue} {
			w.show(e)
			wantSeen(t, h, e)
		}
	}},
	{"a front stays what it was when the sink is opened again", func(t *testing.T, h Harness) {
		w := editions(t, h, blue, green)
		w.show(green)
		w.close()
		w = fronted(t, h, blue, green)
		if shown := w.shown(); shown["chunks"] != green.Table.Name {
			t.Errorf("the front shows %v, want %s", shown, green.Table.Name)
		}
		wantSeen(t, h, green)
	}},
	{"a stranger's table in the place of a front is refused, and stays", func(t *testing.T, h Harness) {
		w := editions(t, h, blue, green)
		h.MakeForeign(t, "chunks")
		wantKind(t, w.sink.(stream.Fronter).Show(t.Context(), []string{blue.Table.Name}), stream.Usage, "show under a foreign table's name")
		if shown := w.shown(); len(shown) != 0 {
			t.Errorf("fronts show %v, want none", shown)
		}
	}},
	{"an edition that is declared no more is dropped", func(t *testing.T, h Harness) {
		w := editions(t, h, blue, green)
		w.show(green)
		w.close()
		w = fronted(t, h, green)
		noError(t, w.sink.(stream.Fronter).Retire(t.Context()), "retire")
		wantSeen(t, h, green)
		h.MakeForeign(t, blue.Table.Name) // the name is free again
	}},
	{"a target that is dropped takes its fronts along", func(t *testing.T, h Harness) {
		w := editions(t, h, blue, green)
		dropper, can := w.sink.(stream.Dropper)
		if !can {
			t.Skip("this kind of target is not dropped")
		}
		w.show(green)
		noError(t, dropper.Drop(t.Context()), "drop")
		h.MakeForeign(t, "chunks") // the name is free again
	}},
	{"each answer is of one edition while a front is switched", switched},
}

// fronted opens a sink with these tables.
func fronted(t tester, h Harness, tables ...stream.TargetTable) *writer {
	t.Helper()
	sink, err := h.New(tables)
	noError(t, err, "new")
	t.Cleanup(func() { _ = sink.Close() })
	w := &writer{t: t, h: h, sink: sink, next: map[int32]int64{}, gen: generation}
	changed, err := sink.Open(t.Context(), flow, target)
	noError(t, err, "open")
	if len(changed) > 0 {
		t.Fatalf("tables %v count as changed", changed)
	}
	return w
}

// editions is fronted over an empty target, with rows in each table; those of green are more.
func editions(t tester, h Harness, tables ...stream.TargetTable) *writer {
	t.Helper()
	w := fronted(t, h, tables...)
	w.begin(0)
	for i, e := range tables {
		for n := range 3 + i {
			r := chunk("a", string(rune('0'+n)), n)
			r.Table, r.Columns[2] = e.Table.Name, stream.StringOf(e.Table.Name)
			w.apply(unit(r))
		}
	}
	return w
}

func (w *writer) show(e stream.TargetTable) {
	w.t.Helper()
	noError(w.t, w.sink.(stream.Fronter).Show(w.t.Context(), []string{e.Table.Name}), "show")
	if shown := w.shown(); shown["chunks"] != e.Table.Name {
		w.t.Errorf("the front shows %v, want %s", shown, e.Table.Name)
	}
}

func (w *writer) shown() map[string]string {
	w.t.Helper()
	shown, err := w.sink.(stream.Fronter).Shown(w.t.Context())
	noError(w.t, err, "look at fronts")
	return shown
}

// wantSeen checks that a reader sees the rows of one edition.
func wantSeen(t *testing.T, h Harness, e stream.TargetTable) {
	t.Helper()
	seen := h.See(t, "chunks")
	if !oneEdition(seen) || seen[0] != e.Table.Name {
		t.Errorf("a reader sees %v, want all rows of %s", seen, e.Table.Name)
	}
}

// oneEdition reports whether these are all rows of one edition, and of no other.
func oneEdition(seen []string) bool {
	distinct := slices.Compact(slices.Clone(seen))
	return len(distinct) == 1 && len(seen) == map[string]int{blue.Table.Name: 3, green.Table.Name: 4}[distinct[0]]
}

// switched has readers look all the time.
func switched(t *testing.T, h Harness) {
	w := editions(t, h, blue, green)
	w.show(blue)
	stop := make(chan struct{})
	var readers sync.WaitGroup
	answers, mixed := 0, []string(nil)
	readers.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			seen := h.See(t, "chunks")
			if answers++; !oneEdition(seen) {
				mixed = append(mixed, strings.Join(seen, " "))
			}
		}
	})
	for i := range cmp.Or(h.Switches, 40) {
		w.show([]stream.TargetTable{green, blue}[i%2])
	}
	close(stop)
	readers.Wait()
	if len(mixed) > 0 || answers == 0 {
		t.Errorf("%d of %d answers are not of one edition: %q", len(mixed), answers, mixed)
	}
}
