package cli

import (
	"testing"

	"github.com/freshet-dev/freshet/control"
	"github.com/freshet-dev/freshet/stream/engine"
)

// TestTargetLag: a target is not said to be up to date while somebody's part of it is missing.
func TestTargetLag(t *testing.T) {
	replica := func(lag int64, partitions ...int32) control.Status {
		x := control.Target{Target: "db", Connected: true, Lag: &lag, Of: 3}
		for _, p := range partitions {
			x.Partitions = append(x.Partitions, control.TargetPartition{Partition: p})
		}
		return control.Status{Targets: []control.Target{x}}
	}
	for name, c := range map[string]struct {
		replicas []control.Status
		want     string
	}{
		"nothing is assigned yet": {[]control.Status{replica(0)}, behind(nil)},
		"one partition is not":    {[]control.Status{replica(0, 0), replica(0, 2)}, behind(nil)},
		"all are":                 {[]control.Status{replica(4, 0, 1), replica(3, 2)}, behind(known(7))},
		"one replica has none":    {[]control.Status{replica(4, 0, 1, 2), replica(0)}, behind(known(4))},
	} {
		if got := behind((&overview{Replicas: c.replicas}).targetOverview("db").Lag); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// TestStatusOfState: what the state consists of, added up over partitions; what an earlier version wrote is not counted yet.
func TestStatusOfState(t *testing.T) {
	counted := control.Partition{State: "ready", Stats: engine.Stats{Contents: &engine.Contents{Documents: engine.Amount{Count: 3, Bytes: 100_000},
		Inputs: engine.Amount{Count: 3, Bytes: 2_000_000}, Memos: engine.Amount{Count: 7, Bytes: 3_000_000}, Unused: engine.Amount{Count: 2, Bytes: 1_000_000}}}}
	const twice = "9.0 GB on disk; documents 200.0 kB, inputs 4.0 MB, rows 0 B, 14 memos in use 6.0 MB, 4 unused 2.0 MB, other 0 B"
	for want, parts := range map[string][]control.Partition{
		twice: {counted, counted, {State: "restoring"}},
		twice + "; not counted yet, since an earlier version wrote them: 1 of the partitions": {counted, {State: "stored"}, counted},
		"9.0 GB on disk": {{State: "restoring"}},
	} {
		o := overview{Partitions: parts, Totals: control.Sum(parts), Disk: 9_000_000_000}
		if got := o.state(); got != want {
			t.Errorf("%s\nwant\n%s", got, want)
		}
	}
}
