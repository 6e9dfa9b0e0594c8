package cli

import (
	"testing"

	"github.com/freshet-dev/freshet/control"
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
