//go:build synctests

package sim

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/freshet-dev/freshet/stream/kafka"
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
		w.start(i, w.blank())
	}
	w.publish(w.author.burst(40, -1))
	w.wait(w.between(0, 2*time.Second))
	for n := 0; n < 6 || w.toldLittle(); n++ {
		w.mood.set(w.rng.IntN(3), w.between(0, 300*time.Millisecond))
		e := w.pick()
		w.remember()
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
	w.recover()
	for _, p := range w.live() {
		w.disks[p.replica] = p.stop()
	}
}

// remember copies a disk or a target now and then, for what brings old copies back.
func (w *world) remember() {
	if w.rng.IntN(3) == 0 {
		w.targets[w.rng.IntN(len(w.targets))].keep()
	}
	if all := w.live(); len(all) > 0 && w.rng.IntN(3) == 0 {
		p := all[w.rng.IntN(len(all))]
		w.old[p.replica] = p.disk.copied()
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

// recover starts a replica again when none runs, and one that ended by itself. That must not happen, but to one
// of twins, to one of whom the broker said so, when the disk fails, and to one that yields to a newer revision.
func (w *world) recover() {
	for _, p := range w.live() {
		err := p.failure()
		if err == nil {
			continue
		}
		var outdated *kafka.Outdated
		yields := errors.As(err, &outdated) && outdated.Found > outdated.Runs
		twin := (w.twins > 0 || w.lied) && strings.Contains(err.Error(), "another process runs as the same replica")
		disk := strings.Contains(err.Error(), errTorn.Error()) // of a restore: the process ends, and is started again
		if !twin && !disk && !yields {
			w.fault("replica %d ended by itself: %v", p.replica, err)
			if len(w.wrong) > 4 {
				w.giveUp("replicas end again and again")
			}
		}
		w.disks[p.replica] = p.stop()
		if !w.runs(p.replica) {
			w.start(p.replica, w.disks[p.replica])
		}
	}
	if len(w.live()) == 0 {
		w.start(0, w.disk(0))
	}
}

func (w *world) runs(replica int) bool {
	for _, p := range w.live() {
		if p.replica == replica {
			return true
		}
	}
	return false
}

// disk is the disk of a replica that does not run.
func (w *world) disk(replica int) disk {
	if w.disks[replica] == nil {
		w.disks[replica] = w.blank()
	}
	return w.disks[replica]
}

func (w *world) pick() *episode {
	p := w.rng.Int32N(w.partitions)
	all := kindsOf
	if w.several {
		all = slices.Concat(kindsOf, intakeKinds)
	}
	k := all[w.rng.IntN(len(all))]
	points := k.points
	if w.several && points[0] == steps[0] && w.rng.IntN(2) == 0 {
		points = intakeSteps
	}
	return &episode{triple{k.name, points[w.rng.IntN(len(points))], p}, k.run}
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
