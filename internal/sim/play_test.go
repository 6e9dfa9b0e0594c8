//go:build synctests

package sim

import (
	"time"
)

// episode is one fault: it is set up, meets changes of its partition, and what it broke is put in order.
type episode struct {
	triple
	run func(w *world, e *episode)
}

// play runs a seed: bursts of changes, each with a fault, until there were enough of both; then all faults end, and what
// is there is compared.
func (w *world) play() {
	for i := range 1 + w.rng.IntN(3) {
		w.start(i, newMemory())
	}
	w.publish(w.author.burst(40, -1))
	w.wait(w.between(0, 2*time.Second))
	for n := 0; n < 6 || w.toldLittle(); n++ {
		w.mood.set(w.rng.IntN(3), w.between(0, 300*time.Millisecond))
		e := w.pick()
		w.log.Info("EPISODE", "fault", e.fault, "point", e.point, "partition", e.partition)
		e.run(w, e)
		w.recover()
	}
	w.mood.set(0, 0)
	for _, p := range w.live() {
		p.link.restore()
	}
	w.settle()
	w.ending()
	for _, p := range w.live() {
		if err := p.failure(); err != nil {
			w.fault("replica %d ended by itself: %v", p.replica, err)
		}
		w.disks[p.replica] = p.stop()
	}
}

// toldLittle reports whether the run has met too few faults or changes so far.
func (w *world) toldLittle() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	faults, changes := 0, 0
	for _, n := range w.sprung {
		faults += n
	}
	for _, n := range w.model.sent {
		changes += int(n)
	}
	return faults < leastFaults || changes < leastChanges
}

// recover starts a replica again when none runs, and one that ended by itself.
func (w *world) recover() {
	for _, p := range w.live() {
		if err := p.failure(); err != nil {
			w.fault("replica %d ended by itself: %v", p.replica, err)
			w.disks[p.replica] = p.stop()
			w.start(p.replica, w.disks[p.replica])
		}
	}
	if len(w.live()) == 0 {
		w.start(0, w.disk(0))
	}
}

// disk is the disk of a replica that does not run.
func (w *world) disk(replica int) disk {
	if w.disks[replica] == nil {
		w.disks[replica] = newMemory()
	}
	return w.disks[replica]
}

func (w *world) pick() *episode {
	p := w.rng.Int32N(w.partitions)
	kinds := kindsOf
	k := kinds[w.rng.IntN(len(kinds))]
	return &episode{triple{k.name, k.points[w.rng.IntN(len(k.points))], p}, k.run}
}

// kind is a kind of fault and the points where it can be met.
type kind struct {
	name   string
	points []string
	run    func(w *world, e *episode)
}

// steps are the points of a transaction.
var steps = []string{"F1", "F2", "F3", "F4", "F5", "F6", "F7", "F8", "F9", "F10", "F11"}

// burst publishes changes of the episode's partition and waits until the trap springs; false: nothing came by.
func (w *world) lure(t *trap) bool {
	w.set(t)
	w.publish(w.author.burst(50+w.rng.IntN(40), t.partition))
	select {
	case <-t.done:
	case <-time.After(15 * time.Second):
		if !w.disarm(t) {
			return false
		}
		<-t.done
	}
	return true
}
