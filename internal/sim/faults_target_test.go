//go:build synctests

package sim

import (
	"strings"
	"time"

	"github.com/freshet-dev/freshet/internal/testenv/guarded"
	"github.com/freshet-dev/freshet/stream"
)

// counters are the points of a delivery, by target. A put is one request of several that a batch takes (S2).
var counters = []string{"table: before apply", "table: after apply", "shop: before apply", "shop: after apply", "shop: before put", "shop: after put"}

// at makes a trap of a point of a delivery.
func (e *episode) at(spring func(p *process) error) *trap {
	target, point, _ := strings.Cut(e.point, ": ")
	return &trap{triple: triple{e.fault, point, e.partition}, target: target, label: e.point, spring: spring}
}

// sinkKilled takes a process away at a point of a delivery (S1, S2, S3).
func sinkKilled(after time.Duration) func(*world, *episode) {
	return func(w *world, e *episode) {
		var dead *process
		var held disk
		if w.lure(e.at(func(p *process) error { dead, held = p, p.kill(); return nil })) {
			w.wait(after)
			w.start(dead.replica, held)
			w.wait(w.between(0, 2*time.Second))
		}
	}
}

// sinkStopped stops a process at a point of a delivery; beyond the session's time another takes over, and it comes back
// as a zombie (S5).
func sinkStopped(d time.Duration) func(*world, *episode) {
	return func(w *world, e *episode) {
		t := e.at(func(p *process) error {
			w.wait(d)
			p.link.restore()
			return nil
		})
		inner := t.spring
		t.spring = func(p *process) error { p.link.sever(); return inner(p) }
		w.set(t)
		w.publish(w.author.burst(50, e.partition))
		w.wait(w.between(0, d))
		w.publish(w.author.burst(20, -1))
		w.disarmAfter(t, 15*time.Second)
	}
}

// sinkFails lets a call fail that has been carried out or not, depending on the point (S1, S4, S6).
func sinkFails(w *world, e *episode) {
	if w.lure(e.at(func(*process) error { return stream.Errorf(stream.Transient, "write", "the answer is lost") })) {
		w.wait(w.between(0, 2*time.Second))
	}
}

// sinkSeized lets another writer take the partition at the point (S14).
func sinkSeized(w *world, e *episode) {
	if w.lure(e.at(func(*process) error { w.targets[0].(*table).seize(e.partition); return nil })) {
		w.wait(w.between(0, 2*time.Second))
	}
}

// sinkRestored brings back a target's backup at the point (S10). A delivery that goes on notices it at its next write of a
// partition; for those that have none the operator starts the replicas again.
func sinkRestored(w *world, e *episode) {
	target := w.targets[0]
	if strings.HasPrefix(e.point, "shop") {
		target = w.shop
	}
	target.keep()
	w.publish(w.author.burst(30, e.partition))
	w.wait(time.Second)
	if w.lure(e.at(func(*process) error { target.restore(); return nil })) {
		w.wait(w.between(0, 2*time.Second))
		w.restart()
	}
}

// sinkAiling lets a part of all requests to the guarded target fail for a while, from the point on (S6, S13).
func sinkAiling(plan guarded.Plan) func(*world, *episode) {
	return func(w *world, e *episode) {
		plan := plan
		plan.Seed = w.rng.Uint64()
		faults := plan.Faults()
		spring := func(*process) error {
			w.shop.store.Inject(func(c guarded.Call) guarded.Fault {
				if c.Op != guarded.OpPut && c.Op != guarded.OpSwap && c.Op != guarded.OpScan {
					return guarded.Fault{} // the checker's own
				}
				return faults(c)
			})
			return nil
		}
		if w.lure(e.at(spring)) {
			w.publish(w.author.burst(40, -1))
			w.wait(w.between(time.Second, 10*time.Second))
		}
		w.shop.store.Inject(nil)
	}
}
