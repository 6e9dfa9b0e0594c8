//go:build synctests

package sim

import (
	"math/rand/v2"
	"time"

	"github.com/freshet-dev/freshet/stream/kafka"
)

// shapeOf decides, by seed, which parts a run has beside those that all have.
func shapeOf(seed uint64) (standbys int, intake bool, retention time.Duration) {
	rng := rand.New(rand.NewPCG(seed, 1))
	if rng.IntN(3) == 0 {
		standbys = 1
	}
	intake = rng.IntN(4) == 0
	if rng.IntN(2) == 0 { // of memos: from less than an episode to several
		retention = 100*time.Millisecond + time.Duration(rng.Int64N(int64(20*time.Second)))
	}
	return standbys, intake, retention
}

func (w *world) shape(seed uint64) {
	w.revision = 1
	if w.standbys, w.several, w.retention = shapeOf(seed); w.several {
		w.source = kafka.Source{Topic: kafka.IntakeTopic(flowName), Ours: true, Planned: w.partitions,
			From: []kafka.Source{{Topic: pages}, {Topic: tickets}}}
	}
}

// blank is an empty disk.
func (w *world) blank() disk {
	if w.badger != "" {
		return newFiles(w.badger)
	}
	return newMemory()
}

// collected returns how many memos the run's processes have collected.
func (w *world) collected() (n int64) {
	for _, t := range w.totals {
		n += t.Snapshot().Collected
	}
	return n
}

// kinds names the parts of the run that not all runs have.
func (w *world) kinds() (all []string) {
	if w.several {
		all = append(all, "intake")
	}
	if w.standbys > 0 {
		all = append(all, "standbys")
	}
	if w.collected() > 0 {
		all = append(all, "memos collected")
	}
	return all
}
