package torture

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/freshet-dev/freshet/control"
	"github.com/freshet-dev/freshet/internal/testenv"
)

// TestZombies lets writers of each target stand still in the middle of a write, for longer than their session lasts, until
// another has taken their partitions over, and go on (F17, S5). What they still had to write must be refused. Then it kills them.
func TestZombies(t *testing.T) { zombiesOf(t, fenced, 100) }

// TestZombiesOfHeavyServers is the same for targets whose servers would slow the others' down.
func TestZombiesOfHeavyServers(t *testing.T) { zombiesOf(t, heavy, 100) }

// TestZombiesOfSlowServers is the same, under less load.
func TestZombiesOfSlowServers(t *testing.T) { zombiesOf(t, slow, 20) }

// zombiesOf makes rate changes a second.
func zombiesOf(t *testing.T, kinds []maker, rate int) {
	r := newRig(t, span("FRESHET_SESSION", 2*time.Second), kinds, testenv.SharedKafka(t))
	_, seed := chance(t)
	n, kills := number("FRESHET_ZOMBIES", 20), number("FRESHET_WRITER_KILLS", 5)
	processor := r.replica(t, 0, "process")
	processor.start(t, "")
	r.until(t, "the flow's topics are there", func(ctx context.Context) bool {
		s, ok := processor.status(ctx)
		return ok && ready(s.Partitions) == partitions
	})
	pairs := map[target]*rig{}
	for i, v := range r.targets {
		pairs[v] = r.pair(t, 1+2*i, v)
	}
	l := newLoad(t, r, seed, 60, 6, rate)
	b := r.begin(t, l)
	t.Run("targets", func(t *testing.T) {
		for _, v := range r.targets {
			t.Run(v.name(), func(t *testing.T) {
				t.Parallel()
				if one, ok := v.(owned); ok {
					pairs[v].frozenOwners(t, n, v, one)
					return
				}
				pairs[v].zombies(t, n, v)
				pairs[v].killedWriters(t, kills, v)
			})
		}
	})
	if t.Failed() {
		return
	}
	b.quiet()
	for _, v := range r.targets {
		r.replicas = append(r.replicas, pairs[v].replicas...)
	}
	r.settle(t)
	b.close()
	r.check(t, b)
}

// pair is the rig with nothing but two replicas that write one target, so that tests of several pairs run side by side. They run,
// but for the second where one process owns the target.
func (r *rig) pair(t *testing.T, ordinal int, v target) *rig {
	t.Helper()
	two := *r
	two.replicas = nil
	two.replica(t, ordinal, sink(v)).start(t, "")
	heir := two.replica(t, ordinal+1, sink(v))
	if _, one := v.(owned); !one {
		heir.start(t, "")
	}
	return &two
}

// zombies lets two writers of a target take over from each other.
func (r *rig) zombies(t *testing.T, n int, v target) {
	t.Helper()
	name := v.name()
	inside, _ := v.(insider)
	untried := 0 // the group's answer was faster: what the zombie had to write was dropped before it was sent
	for i := range n {
		zombie, heir := r.replicas[i%2], r.replicas[1-i%2]
		r.share(t, name)
		before, thaw := zombie.refused(t, name), func() {}
		if inside != nil && i%5 == 4 {
			thaw = inside.freezeInside(t, zombie)
		} else {
			zombie.arm(t, "S1", "stop")
			zombie.stops(t, "S1")
		}
		r.until(t, fmt.Sprintf("%s has taken all of %s", heir.name, name), func(ctx context.Context) bool {
			if inside != nil {
				inside.evict(ctx, t, zombie)
			}
			return heir.holds(ctx, name) == partitions
		})
		thaw()
		zombie.p.signal(syscall.SIGCONT)
		r.until(t, "the write of "+zombie.name+" is refused, or not tried", func(ctx context.Context) bool {
			s, ok := zombie.status(ctx)
			if ok && stale(s, name) > before {
				return true
			}
			again := ok && len(told(s, name).Partitions) > 0 && len(told(s, name).Partitions)+heir.holds(ctx, name) == partitions
			if again {
				untried++
			}
			return again
		})
		if (i+1)%10 == 0 {
			progress("%s: %d zombies, of which %d did not try to write", t.Name(), i+1, untried)
		}
	}
	if untried*5 > n {
		t.Errorf("%d of %d zombies did not try to write what they had to", untried, n)
	}
}

// killedWriters kills two writers of a target in turn, before a write and after one (S1, S3).
func (r *rig) killedWriters(t *testing.T, n int, v target) {
	t.Helper()
	for i := range n {
		r.share(t, v.name())
		x, point := r.replicas[i%2], []string{"S1", "S3"}[i/2%2]
		x.arm(t, point, "kill")
		x.dies(t, point)
		x.start(t, "")
	}
	progress("%s: %d kills of writers", t.Name(), n)
}

// share waits until each partition of a target is at one of two writers: who went on just now may still believe that it has what
// it lost.
func (r *rig) share(t *testing.T, name string) {
	t.Helper()
	r.until(t, "both have partitions of "+name, func(ctx context.Context) bool {
		a, b := r.replicas[0].holds(ctx, name), r.replicas[1].holds(ctx, name)
		return a > 0 && b > 0 && a+b == partitions
	})
}

// holds is how many partitions of a target the replica delivers.
func (x *replica) holds(ctx context.Context, name string) int {
	s, ok := x.status(ctx)
	if !ok {
		return 0
	}
	return len(told(s, name).Partitions)
}

// stale is how many writes of a target came to nothing: refused by the fence, or by a server that had ended their transaction.
func stale(s control.Status, name string) int64 {
	return told(s, name).Fenced + told(s, name).Retries
}

// refused is how many writes of a target came to nothing so far.
func (x *replica) refused(t *testing.T, name string) (n int64) {
	t.Helper()
	x.rig.until(t, x.name+" answers", func(ctx context.Context) bool {
		s, ok := x.status(ctx)
		n = stale(s, name)
		return ok
	})
	return n
}

// frozenOwners lets the owner of a target stand still in the middle of a write. A second process is refused, since the target is the
// first one's as long as it lives, however long it stands still; then the first goes on, or is killed and the second takes over.
func (r *rig) frozenOwners(t *testing.T, n int, v target, one owned) {
	t.Helper()
	owner, heir := r.replicas[0], r.replicas[1]
	for i := range n {
		r.until(t, owner.name+" has the target", func(ctx context.Context) bool { return owner.holds(ctx, v.name()) == partitions })
		owner.arm(t, "S1", "stop")
		owner.stops(t, "S1")
		stood := time.Now()
		r.until(t, "its session ends", func(context.Context) bool { return time.Since(stood) > r.session+r.session/2 })
		rival := heir.run(t, "")
		r.until(t, "the second owner is refused", func(context.Context) bool { return rival.ended() })
		if want := one.refusal(owner.p.cmd.Process.Pid); rival.code() == 0 || !strings.Contains(rival.out.String(), want) {
			t.Fatalf("the second owner ended with %d, and does not say that %s:\n%s", rival.code(), want, rival.out.String())
		}
		if i%2 == 0 {
			owner.p.signal(syscall.SIGCONT)
			continue
		}
		owner.p.kill()
		owner.p = nil
		heir.start(t, "")
		owner, heir = heir, owner
	}
}
