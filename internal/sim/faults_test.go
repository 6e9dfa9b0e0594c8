//go:build synctests

package sim

import (
	"time"
)

// kindsOf are all kinds of faults.
var kindsOf = []kind{
	{"kill", steps, killed(func(w *world, p *process, d disk) { w.start(p.replica, d) })},
	{"kill, back later", steps, killed(func(w *world, p *process, d disk) {
		w.publish(w.author.burst(20, -1))
		w.wait(w.between(time.Second, 15*time.Second))
		w.start(p.replica, d)
	})},
	{"kill, disk lost", steps, killed(func(w *world, p *process, d disk) { w.start(p.replica, newMemory()) })},
	{"kill, source back at A (F31)", steps, killed(func(w *world, p *process, d disk) {
		w.publish(w.author.back(w.rng.Int32N(w.partitions)))
		w.start(p.replica, d)
	})},
	{"stall 3 s", steps, stalled(3*time.Second, false)},
	{"stall 12 s (F18)", steps, stalled(12*time.Second, false)},
	{"stop 2 s (F17)", steps, stalled(2*time.Second, true)},
	{"zombie 25 s (F17)", steps, stalled(25*time.Second, true)},
	{"join (F16)", steps, joined(1)},
	{"join twice in one transaction (F16)", steps, joined(2)},
	{"leave (F16)", steps, left},
}

// reach lets the broker act on a request that has left before anything else happens; sometimes it does not come to that.
func (w *world) arrive(point string) {
	if point == "F7" || point == "F10" {
		w.wait(time.Millisecond)
	}
}

// killed takes a process away at the point; then says how the replica comes back.
func killed(then func(w *world, p *process, d disk)) func(*world, *episode) {
	return func(w *world, e *episode) {
		var dead *process
		var held disk
		t := &trap{triple: e.triple, skip: w.rng.IntN(2), spring: func(p *process) error {
			w.arrive(e.point)
			dead, held = p, p.kill()
			return nil
		}}
		if w.lure(t) {
			then(w, dead, held)
			w.wait(w.between(0, 2*time.Second))
		}
	}
}

// stalled stops a process at the point for a while; cut: all of it, so that nothing is heard from it either.
func stalled(d time.Duration, cut bool) func(*world, *episode) {
	return func(w *world, e *episode) {
		t := &trap{triple: e.triple, spring: func(p *process) error {
			w.arrive(e.point)
			if cut {
				p.link.sever()
			}
			w.wait(d)
			p.link.restore()
			return nil
		}}
		w.set(t)
		w.publish(w.author.burst(50, e.partition))
		w.wait(w.between(0, d))
		w.publish(w.author.burst(20, -1))
		if w.disarmAfter(t, 15*time.Second) {
			w.wait(w.between(0, 2*time.Second))
		}
	}
}

// disarmAfter waits for a trap that may have sprung, or takes it away after d.
func (w *world) disarmAfter(t *trap, d time.Duration) bool {
	select {
	case <-t.done:
		return true
	case <-time.After(d):
		if !w.disarm(t) {
			return false
		}
		<-t.done
		return true
	}
}

const maxReplicas = 4

// free returns the number of a replica that does not run; -1: all do.
func (w *world) free() int {
	used := map[int]bool{}
	for _, p := range w.live() {
		used[p.replica] = true
	}
	for i := range maxReplicas {
		if !used[i] {
			return i
		}
	}
	return -1
}

// joined lets replicas join at the point, one after the other, while the transaction is held up.
func joined(n int) func(*world, *episode) {
	return func(w *world, e *episode) {
		met := make(chan struct{})
		t := &trap{triple: e.triple, spring: func(p *process) error {
			close(met)
			w.wait(4 * time.Second)
			return nil
		}}
		w.set(t)
		w.publish(w.author.burst(60, e.partition))
		select {
		case <-met:
		case <-time.After(15 * time.Second):
			if !w.disarm(t) {
				return
			}
		}
		for range n {
			if i := w.free(); i >= 0 {
				w.start(i, w.disk(i))
			}
			w.wait(time.Second)
		}
		<-t.done
		w.publish(w.author.burst(20, -1))
		w.wait(w.between(0, 2*time.Second))
	}
}

// left lets another replica leave at the point.
func left(w *world, e *episode) {
	if len(w.live()) < 2 {
		i := w.free()
		w.start(i, w.disk(i))
		w.wait(3 * time.Second)
	}
	met := make(chan *process, 1)
	t := &trap{triple: e.triple, spring: func(p *process) error {
		met <- p
		w.wait(2 * time.Second)
		return nil
	}}
	w.set(t)
	w.publish(w.author.burst(60, e.partition))
	var at *process
	select {
	case at = <-met:
	case <-time.After(15 * time.Second):
		if !w.disarm(t) {
			return
		}
		at = <-met
	}
	for _, p := range w.live() {
		if p != at {
			w.disks[p.replica] = p.stop()
			break
		}
	}
	<-t.done
	w.wait(w.between(0, 2*time.Second))
}
