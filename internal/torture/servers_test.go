//go:build long

package torture

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/freshet-dev/freshet/internal/testenv"
)

// slowest are targets whose 20 zombies alone take more minutes than make test has for them.
var slowest = []maker{newFeast}

// TestKillsOfServers is for the targets that TestKills leaves out: each one's server is killed in turn, and then a replica before or after a
// write. A round takes more than a minute.
func TestKillsOfServers(t *testing.T) {
	r := newRig(t, 5*time.Second, slices.Concat([]maker{newTopic}, heavy, slow, slowest), testenv.SharedKafka(t))
	rounds := number("FRESHET_SERVER_KILLS", 5)
	r.torment(t, 30, func(m *torment) {
		for n := range rounds {
			for _, v := range m.targets {
				if s, ok := v.(server); ok {
					s.restart(t)
					m.counts["server of "+v.name()]++
					m.goesOn(v)
				}
			}
			m.atPoint([]string{"S1", "S3"}[n%2])
		}
	})
	r.compare(t)
}

// TestZombiesOfFeast is TestZombies for a target that is too slow for make test.
func TestZombiesOfFeast(t *testing.T) { zombiesOf(t, slowest, 20) }

// goesOn waits until a target takes more than it has.
func (m *torment) goesOn(v target) {
	m.t.Helper()
	sum := func(ctx context.Context) (n int64, ok bool) {
		at, err := v.applied(ctx)
		for _, next := range at {
			n += next
		}
		return n, err == nil
	}
	before, known := sum(m.t.Context())
	m.until(m.t, "writes of "+v.name(), func(ctx context.Context) bool {
		now, ok := sum(ctx)
		if ok && !known {
			before, known = now, true
		}
		return ok && now > before
	})
}
