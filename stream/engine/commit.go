package engine

// Commit takes over what a transaction wrote, after its entries were applied to the store, and only then (invariant 2).
func (t *Tx) Commit() {
	p := t.p
	p.stats = t.stats
	for _, d := range t.order {
		t.commit(d)
	}
	p.backlog = append(t.later, p.backlog[t.due:]...)
	p.pass = max(p.pass, t.pass)
	if t.collecting {
		p.sweep.found = nil
	}
}

func (t *Tx) commit(d *document) {
	p := t.p
	if d.outcome == unchanged {
		return
	}
	if old := p.running[d.fp]; old != nil && old != d.eval {
		old.cancel() // Invariant 6: a newer change supersedes a pending one
		delete(p.running, d.fp)
	}
	switch {
	case d.outcome == removed:
		p.headers.drop(d.id)
	default:
		p.headers.put(d.header)
		if h := &d.header; !h.Image.IsZero() && h.Failed == nil && d.sight != (sight{}) {
			p.headers.note(d.id, d.sight) // the next record that repeats it is known at a glance
		}
	}
	delete(p.running, d.fp)
	p.resting.remove(d.fp)
	switch d.outcome {
	case waiting:
		p.running[d.fp] = d.eval
	case parked:
		p.resting.add(d.fp, rested{d.parked.Due, d.parked.Node, d.outages})
	case due:
		p.waiting = append(p.waiting, d.fp)
	}
}

// Abort drops the transaction. Evaluations that it began are cancelled (results that were computed stay available as
// memos); those of pending documents that finished meanwhile are queued again, also where the transaction had superseded
// them: its changes are folded again, but perhaps together with others that undo them.
func (t *Tx) Abort(e *Evaluator) {
	for _, d := range t.order {
		pending := t.p.running[d.fp]
		if d.eval != nil && d.eval != pending {
			d.eval.cancel()
		}
		if pending != nil && pending.done {
			pending.done = false
			e.requeue(pending)
		}
	}
}
