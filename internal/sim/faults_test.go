//go:build synctests

package sim

import (
	"sync"
	"time"

	"github.com/freshet-dev/freshet/internal/testenv/guarded"
)

// kindsOf are all kinds of faults.
var kindsOf = []kind{
	{"kill", steps, killed(func(w *world, p *process, d disk) { w.start(p.replica, d) })},
	{"kill, back later", steps, killed(func(w *world, p *process, d disk) {
		w.publish(w.author.burst(20, -1))
		w.wait(w.between(time.Second, 15*time.Second))
		w.start(p.replica, d)
	})},
	{"kill, disk lost", steps, killed(func(w *world, p *process, d disk) { w.start(p.replica, w.blank()) })},
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
	{"twin (F28)", steps, twinned},
	{"another revision", steps, revised},
	{"leaders move (F19)", steps, moved(leaders)},
	{"coordinators move (F19)", steps, moved(coordinators)},
	{"clock jumps (F25)", steps, moved(jumped)},
	{"markers come late", steps, late},
	{"broker answers", []string{"rows", "changelog", "offsets", "end"}, refused},
	{"broker answers", []string{"rows", "changelog", "offsets", "end"}, refused},
	{"broker answers", []string{"rows", "changelog", "offsets", "end"}, refused},
	{"kill at a piece of an apply (F12)", pieces, torn(true)},
	{"disk fails at a piece of an apply (F23)", pieces, torn(false)},
	{"kill at a piece of a restore (F14)", pieces, tornRestore},
	{"kill by a delivery", counters, sinkKilled(0)},
	{"kill by a delivery, back later", counters, sinkKilled(12 * time.Second)},
	{"stop 3 s by a delivery", counters, sinkStopped(3 * time.Second)},
	{"zombie 25 s by a delivery (S5)", counters, sinkStopped(25 * time.Second)},
	{"target fails (S1, S4)", counters, sinkFails},
	{"target is restored from a backup (S10)", counters[:4], sinkRestored},
	{"another writer takes over (S14)", counters[:2], sinkSeized},
	{"target fails in part (S6)", counters[2:], sinkAiling(guarded.Plan{FailItems: 0.3, Refuse: 0.1, LoseAnswer: 0.2})},
	{"target is read-only (S13)", counters[2:], sinkAiling(guarded.Plan{ReadOnly: true})},
	{"target is slow (S13)", counters[2:], sinkAiling(guarded.Plan{Slow: 0.5, Delay: 2 * time.Second})},
	{"offset metadata is garbage (F27)", whileDown, down(garbled("1|garbage"))},
	{"offset metadata is missing (F27)", whileDown, down(garbled(""))},
	{"offsets are gone", whileDown, down(forgotten)},
	{"sleep beyond half of the delete retention (F22)", whileDown, down(slept(4 * 24 * time.Hour))},
	{"store of another replica (F30)", whileDown, down(swapped)},
	{"store from a backup", whileDown, down(aged)},
	{"changelog is created anew (F21)", whileDown, down(recreated(".changelog"))},
	{"rows topic is created anew (F21, S11)", whileDown, down(recreated(".rows"))},
}

// pieces are those of a write to a store.
var pieces = []string{"piece 0", "piece 1", "piece 2", "piece 3", "piece 4"}

// whileDown is when no replica runs.
var whileDown = []string{"all down"}

// torn lets the disk fail at a piece of a write of the partition's state; kill: the process is taken away there.
func torn(kill bool) func(*world, *episode) {
	return func(w *world, e *episode) {
		done := make(chan struct{})
		var once sync.Once
		var dead *process
		var held disk
		for _, p := range w.live() {
			p.disk.fail(e.partition, int(e.point[6]-'0'), func() {
				once.Do(func() {
					w.count(e.triple)
					if kill {
						dead, held = p, p.kill()
					}
					close(done)
				})
			})
		}
		w.publish(w.author.burst(60, e.partition))
		select {
		case <-done:
		case <-time.After(15 * time.Second):
		}
		for _, p := range w.live() {
			p.disk.fail(-1, 0, nil)
		}
		if dead != nil {
			w.start(dead.replica, held)
		}
		w.wait(w.between(0, 2*time.Second))
	}
}

// tornRestore kills a process while it restores the partition, at a piece of a write; the next one goes on from there.
func tornRestore(w *world, e *episode) {
	for _, p := range w.live() {
		w.disks[p.replica] = p.stop()
	}
	d := w.blank()
	done := make(chan struct{})
	var held disk
	var p *process
	started := make(chan struct{})
	d.fail(e.partition, int(e.point[6]-'0'), func() {
		<-started
		w.count(e.triple)
		held = p.kill()
		close(done)
	})
	p = w.start(0, d)
	close(started)
	select {
	case <-done:
		w.start(0, held)
	case <-time.After(15 * time.Second):
		d.fail(-1, 0, nil)
	}
	w.publish(w.author.burst(40, e.partition))
	w.wait(w.between(0, 2*time.Second))
}

// twinned starts a process as a replica that runs, at the point. They don't fight for ever: one ends and says why.
func twinned(w *world, e *episode) {
	var of *process
	t := &trap{triple: e.triple, spring: func(p *process) error { of = p; return nil }}
	if !w.lure(t) {
		return
	}
	w.twins++
	twin := w.start(of.replica, w.blank())
	for range 8 {
		w.publish(w.author.burst(8, e.partition))
		w.wait(2 * time.Second)
	}
	if of.failure() == nil && twin.failure() == nil {
		twin.stop()
	}
	w.recover()
}

// revised brings another revision of the flow, at the point: replicas take it over one after the other, and go on with what others have written
// by it only then. One of them may be killed on its way. Now and then one that runs it comes first, and leaves its partitions to the others.
func revised(w *world, e *episode) {
	t := &trap{triple: e.triple, spring: func(*process) error { return nil }}
	if !w.lure(t) {
		return
	}
	w.revision++
	if i := w.free(); i >= 0 && w.rng.IntN(2) == 0 {
		first := w.start(i, w.disk(i))
		w.wait(w.between(2*time.Second, 8*time.Second))
		w.publish(w.author.burst(60, -1))
		w.wait(w.between(time.Second, 3*time.Second))
		w.disks[i] = first.kill()
		w.publish(w.author.burst(60, -1))
		w.wait(w.between(10*time.Second, 15*time.Second)) // until its session has ended
		w.recover()
	}
	for _, p := range w.live() {
		d := p.stop()
		p = w.start(p.replica, d)
		w.publish(w.author.burst(10, e.partition))
		w.wait(w.between(0, 3*time.Second))
		if w.rng.IntN(3) == 0 {
			w.start(p.replica, p.kill())
		}
	}
	w.recover()
	w.wait(w.between(0, 2*time.Second))
}

// arrive lets the broker act on a request that has left before anything else happens; sometimes it does not come to that.
func (w *world) arrive(point string) {
	switch point {
	case "F7", "F10", "I7", "I10":
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
