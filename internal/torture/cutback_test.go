package torture

import (
	"slices"
	"testing"
	"time"

	"github.com/freshet-dev/freshet/internal/testenv"
)

// TestCutBack: a change A to B is cut down half-way, and the source is back at A before the restart (F31).
func TestCutBack(t *testing.T) {
	r := newRig(t, 10*time.Second, []maker{newPostgres}, testenv.SharedKafka(t))
	x := r.replica(t, 0, "all")
	l := newLoad(t, r, 1, 1, 1, 1)
	write := func(e edition) {
		if err := l.cl.ProduceSync(t.Context(), event(1, "u", e)).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	view := r.targets[0]
	held := func() []string {
		rows, err := view.rows(t.Context(), true)
		if err != nil {
			t.Fatal(err)
		}
		return unversioned(rows)
	}
	write(edition{7, 3})
	r.finish(t)
	before := held()
	if len(before) != 4 {
		t.Fatalf("%d rows in the beginning, want one of docs and three of chunks", len(before))
	}
	for _, point := range []string{"F4", "F6", "F8", "F11"} {
		write(edition{8, 5})
		x.start(t, point+":1")
		x.dies(t, point)
		write(edition{7, 3})
		r.finish(t)
		if got := held(); !slices.Equal(got, before) {
			differ(t, "cut at "+point+", the rows of the cut change and those before it", got, before)
		}
	}
}
