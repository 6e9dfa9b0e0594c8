package cli

import (
	"strings"
	"testing"

	"github.com/freshet-dev/freshet/control"
	"github.com/freshet-dev/freshet/stream"
)

// TestPromoteWaits: what keeps an edition from being shown.
func TestPromoteWaits(t *testing.T) {
	ready := func() overview {
		return overview{Running: true, Revisions: []int64{2}, Partitions: []control.Partition{{Partition: 0, State: "ready"}, {Partition: 1, State: "ready"}},
			Replicas: []control.Status{{Targets: []control.Target{{Target: "db", Partitions: []control.TargetPartition{{Partition: 0, Next: 7}}}}},
				{Targets: []control.Target{{Target: "db", Partitions: []control.TargetPartition{{Partition: 1, Next: 5}}}}}}}
	}
	for want, change := range map[string]func(o *overview){
		"":                               func(*overview) {},
		"no process":                     func(o *overview) { o.Running = false },
		"not all processes run revision": func(o *overview) { o.Revisions = []int64{1, 2} },
		"3 documents wait to be":         func(o *overview) { o.Backfill = &control.Backfill{Left: 3} },
		"1 of 2 partitions":              func(o *overview) { o.Partitions[1].Backlog = 1 },
		"0 of 2 partitions":              func(o *overview) { o.Partitions[0].State, o.Partitions[1].State = "restoring", "re-evaluating" },
		"2 documents wait for a service": func(o *overview) { o.Partitions[0].Parked = 2 },
	} {
		o := ready()
		change(&o)
		if got := o.unevaluated(2, 2); (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
	ends := map[int32]int64{0: 7, 1: 5}
	for want, change := range map[string]func(o *overview){
		"":                         func(*overview) {},
		"target db is behind by 2": func(o *overview) { o.Replicas[1].Targets[0].Partitions[0].Next = 3 },
		"target db is behind by 7": func(o *overview) { o.Replicas[0].Targets = nil },
		"target db is behind by 5": func(o *overview) { o.Replicas[1].Targets[0].Partitions[0].Rebuilding = true },
	} {
		o := ready()
		change(&o)
		if got := o.undelivered("db", ends); (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestSwitches: which editions are kept and shown after each command.
func TestSwitches(t *testing.T) {
	edition := func(now, other, shown int64) stream.Edition {
		return stream.Edition{Table: "t", Now: now, Other: other, Shown: shown}
	}
	for _, c := range []struct {
		what         switching
		before, want stream.Edition
		refused      bool
	}{
		{promotion, edition(2, 1, 1), edition(2, 1, 2), false},
		{promotion, edition(2, 1, 2), edition(2, 1, 2), false},
		{rolling, edition(2, 1, 2), edition(2, 1, 1), false},
		{rolling, edition(2, 0, 2), edition(2, 0, 2), false},
		{retirement, edition(2, 1, 2), edition(2, 0, 2), false},
		{retirement, edition(2, 1, 1), edition(2, 1, 1), true},
	} {
		got, err := changedEditions([]stream.Edition{c.before}, nil, c.what)
		if (err != nil) != c.refused || err == nil && got[0] != c.want {
			t.Errorf("%s of %+v: %+v, %v; want %+v", c.what.use, c.before, got, err, c.want)
		}
	}
	if _, err := changedEditions([]stream.Edition{edition(2, 1, 1)}, []string{"u"}, promotion); err == nil {
		t.Error("a table that does not roll out was promoted")
	}
}
