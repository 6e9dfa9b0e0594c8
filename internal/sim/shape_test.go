//go:build synctests

package sim

import (
	"math/rand/v2"

	"github.com/freshet-dev/freshet/stream/kafka"
)

// shapeOf decides, by seed, which parts a run has beside those that all have.
func shapeOf(seed uint64) (standbys int, intake bool) {
	rng := rand.New(rand.NewPCG(seed, 1))
	if rng.IntN(3) == 0 {
		standbys = 1
	}
	return standbys, rng.IntN(4) == 0
}

func (w *world) shape(seed uint64) {
	if w.standbys, w.several = shapeOf(seed); w.several {
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

// kinds names the parts of the run that not all runs have.
func (w *world) kinds() (all []string) {
	if w.several {
		all = append(all, "intake")
	}
	if w.standbys > 0 {
		all = append(all, "standbys")
	}
	return all
}
