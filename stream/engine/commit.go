package engine

// Commit takes over what a transaction wrote, after its entries were applied to the store, and only then (invariant 2).
func (t *Tx) Commit() {
	p := t.p
	p.stats = t.stats
	done := 0
	for _, d := range t.order {
		if len(p.backlog) > done && p.backlog[done] == d.fp {
			done++
		}
		t.commit(d)
	}
	p.backlog = p.backlog[done:]
	p.pass = max(p.pass, t.pass)
}

func (t *Tx) commit(d *document) {
	p := t.p
	if d.outcome == unchanged {
		return
	}
	if old := p.running[d.fp]; old != nil && old != d.eval {
		old.cancel()
		delete(p.running, d.fp)
	}
	switch {
	case d.outcome == removed:
		p.headers.drop(d.id)
	default:
		p.headers.put(d.header)
	}
	delete(p.running, d.fp)
	if d.outcome == waiting {
		p.running[d.fp] = d.eval
	}
}

// Abort drops the transaction. Evaluations that it began are cancelled (results that were computed stay available as
// memos); those of pending documents that it had taken are queued again.
func (t *Tx) Abort(e *Evaluator) {
	for _, d := range t.order {
		switch {
		case d.eval == nil:
		case t.p.running[d.fp] != d.eval:
			d.eval.cancel()
		case d.eval.done:
			e.queue(d.eval)
		}
	}
}
