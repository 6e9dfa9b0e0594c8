package torture

import (
	"context"
	"syscall"
	"testing"
	"time"

	"github.com/freshet-dev/freshet/control"
	"github.com/freshet-dev/freshet/internal/testenv"
)

// eachCommits is how many changes every replica brings to their end after each move.
const eachCommits = 1000

// TestMoves moves partitions to and fro under load: a replica leaves cleanly, dies or stands still, and comes back. After
// each move each of those that run commits a thousand changes.
func TestMoves(t *testing.T) {
	r := newRig(t, 3*time.Second, swift, testenv.SharedKafka(t))
	random, seed := chance(t)
	r.three(t)
	l := newLoad(t, r, seed, 600, 2, 1200)
	b := r.begin(t, l)
	r.work(t, r.replicas)
	moves := number("FRESHET_MOVES", 8)
	for n := 0; n < moves; n += 2 {
		gone := r.replicas[random.IntN(len(r.replicas))]
		back := r.away(t, gone, n/2%3)
		r.until(t, "the others have taken the partitions of "+gone.name, func(ctx context.Context) bool { return r.processed(ctx, gone) == partitions })
		r.work(t, others(r.replicas, gone))
		back()
		r.until(t, gone.name+" has partitions again", func(ctx context.Context) bool {
			s, ok := gone.status(ctx)
			return ok && ready(s.Partitions) > 0
		})
		r.work(t, r.replicas)
		if (n+2)%10 == 0 {
			progress("%s: %d moves, %d changes", t.Name(), n+2, r.committed(t.Context()))
		}
	}
	b.quiet()
	r.settle(t)
	b.close()
	r.check(t, b)
	t.Logf("%d moves, %d changes", moves, l.sent.Load())
}

// away takes a replica out of the group in one of three ways; back brings it in again.
func (r *rig) away(t *testing.T, x *replica, way int) (back func()) {
	t.Helper()
	again := func() { x.start(t, "") }
	switch way {
	case 0:
		x.leave(t)
		x.p = nil
	case 1:
		x.p.kill()
		x.p = nil
	default:
		x.p.signal(syscall.SIGSTOP)
		again = func() { x.p.signal(syscall.SIGCONT) }
	}
	return again
}

func others(all []*replica, x *replica) (rest []*replica) {
	for _, y := range all {
		if y != x {
			rest = append(rest, y)
		}
	}
	return rest
}

// processed counts the partitions that replicas other than one process.
func (r *rig) processed(ctx context.Context, but *replica) (n int) {
	for _, x := range others(r.replicas, but) {
		if s, ok := x.status(ctx); ok {
			n += ready(s.Partitions)
		}
	}
	return n
}

func ready(all []control.Partition) (n int) {
	for _, p := range all {
		if p.State == "ready" {
			n++
		}
	}
	return n
}

// work waits until each replica has brought enough changes to their end from now on.
func (r *rig) work(t *testing.T, all []*replica) {
	t.Helper()
	from := map[*replica]int64{}
	r.until(t, "each replica commits enough", func(ctx context.Context) bool {
		enough := 0
		for _, x := range all {
			s, ok := x.status(ctx)
			if _, known := from[x]; ok && !known {
				from[x] = settled(s)
			}
			if ok && settled(s) >= from[x]+eachCommits {
				enough++
			}
		}
		return enough == len(all)
	})
}
