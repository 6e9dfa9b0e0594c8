package engine

import (
	"context"
	"errors"

	"github.com/freshet-dev/freshet/stream"
)

// Settle ends folding: it compares fingerprints, and starts the evaluation of every document whose read fields changed.
func (t *Tx) Settle(ctx context.Context, e *Evaluator) error {
	for _, d := range t.order {
		if d.outcome != unsettled || d.eval != nil {
			continue
		}
		if err := t.settle(ctx, e, d); err != nil {
			return err
		}
	}
	return nil
}

func (t *Tx) settle(ctx context.Context, e *Evaluator, d *document) error {
	switch {
	case d.deleted && d.refused == nil:
		d.outcome = removed
		if !d.known {
			d.outcome = unchanged
		}
		return nil
	case d.refused != nil:
		d.outcome = failed
		d.encodeInput()
		return nil
	}
	d.encodeInput()
	again := d.header.Failed != nil // refused later than its input
	// Deleted meanwhile, it is the same again only if its rows are those of this input: others go with the delete.
	same := !d.gone || d.header.Status == Live
	if d.known && d.inputFP == d.header.Input && !again && same {
		d.outcome = unchanged
		return nil
	}
	readSet := t.p.config.Program.ReadSet(t.evaluationInput(d))
	if d.known && d.header.Status == Live && readSet == d.header.ReadSet && d.header.Logic == t.p.config.Program.Logic() {
		d.outcome = stored
		return nil
	}
	t.evaluate(ctx, e, d, readSet, false)
	return nil
}

// encodingRoom is what an input's encoding may take more than the one before it without a second buffer.
const encodingRoom = 256

func (d *document) encodeInput() {
	if d.loaded && d.encoded == nil && !d.deleted {
		d.encoded = stream.AppendValue(make([]byte, 0, d.header.InputBytes+encodingRoom), d.input)
		d.inputFP = stream.FingerprintBytes(d.encoded)
	}
}

func (t *Tx) evaluationInput(d *document) stream.Document {
	return t.p.config.document(d.id, d.input)
}

// document is what is evaluated: its source is the one that its ID names.
func (c *Config) document(id string, input stream.Value) stream.Document {
	source := c.Source
	if source == "" {
		source = sourceOf(id)
	}
	return stream.Document{ID: id, Source: source, Input: input}
}

func (t *Tx) evaluate(ctx context.Context, e *Evaluator, d *document, readSet stream.Fingerprint, later bool) {
	d.eval = t.p.evaluation(d.id, d.fp, d.input, len(d.encoded))
	d.eval.inputFP, d.eval.readSet, d.eval.changes, d.eval.later = d.inputFP, readSet, int64(min(d.folded, 1)), later
	if !e.immediate(ctx, d.eval) {
		e.start(ctx, d.eval)
	}
}

func (p *Partition) evaluation(id string, doc stream.Fingerprint, input stream.Value, bytes int) *Evaluation {
	return &Evaluation{Partition: p.ID, id: id, doc: doc, input: input, own: p.Store, bytes: bytes}
}

// Reevaluate adds up to n documents of the backlog to the transaction; they are evaluated like changed ones. Call it after
// Fold: a document that this transaction changes stays in the backlog, in case the change alters nothing.
func (t *Tx) Reevaluate(ctx context.Context, e *Evaluator, n int) error {
	for _, fp := range t.p.backlog[:min(n, len(t.p.backlog))] {
		t.due++
		h, ok, err := t.headerOf(fp)
		if err != nil {
			return err
		}
		if t.docs[h.ID] != nil {
			t.later = append(t.later, fp)
			continue
		}
		if ok && t.p.config.left(h.ID) {
			t.leave(h)
			continue
		}
		if !ok || h.Input.IsZero() || h.Status == Pending || h.Logic == t.p.config.Program.Logic() {
			continue // gone, or evaluated since by the current program
		}
		d := t.add(h.ID, h, true)
		if err := t.loadInput(d); err != nil {
			return err
		}
		d.encodeInput()
		t.evaluate(ctx, e, d, t.p.config.Program.ReadSet(t.evaluationInput(d)), true)
	}
	return nil
}

// stored loads a document by fingerprint with its input; nil when it is gone.
func (t *Tx) stored(fp stream.Fingerprint) (*document, error) {
	h, ok, err := t.headerOf(fp)
	if err != nil || !ok {
		return nil, err
	}
	d := t.add(h.ID, h, true)
	return d, t.loadInput(d)
}

// headerOf is Partition.header for a document whose ID is not known.
func (t *Tx) headerOf(fp stream.Fingerprint) (h Header, known bool, err error) {
	v, ok, err := t.ov.get(docKey(keyHeader, fp))
	if err != nil || !ok {
		return h, false, err
	}
	h.size = len(v)
	return h, true, stream.Unmarshal(v, &h)
}

// Resume starts evaluations of documents that were pending when the partition was opened, and of parked ones that are due,
// while their inputs and those of running evaluations stay within room bytes.
func (p *Partition) Resume(ctx context.Context, e *Evaluator, room int) error {
	if len(p.resting.by) > 0 {
		p.waiting = append(p.waiting, p.resting.take(p.config.Now(), e.memos.outagesEnded)...)
	}
	for pending := p.PendingBytes(); len(p.waiting) > 0 && pending < room; {
		fp := p.waiting[0]
		t := p.Begin()
		d, err := t.stored(fp)
		if err != nil {
			return err
		}
		p.waiting = p.waiting[1:]
		if d == nil || p.running[fp] != nil || p.resting.holds(fp) || d.header.Status != Pending || p.config.left(d.id) {
			continue
		}
		d.encodeInput()
		ev := p.evaluation(d.id, fp, d.input, len(d.encoded))
		ev.inputFP, ev.readSet, ev.changes = d.inputFP, p.config.Program.ReadSet(t.evaluationInput(d)), d.header.Open
		ev.later = ev.changes == 0 // it came from the backlog
		p.running[fp] = ev
		pending += ev.bytes
		e.start(ctx, ev)
	}
	return nil
}

// Take hands a finished evaluation to the transaction. It reports whether the transaction had been waiting for it: a
// document of this transaction, or one that was pending and has had no newer change.
func (t *Tx) Take(ev *Evaluation) bool {
	if errors.Is(ev.err, context.Canceled) {
		return false
	}
	ev.done = true
	d := t.docs[ev.id]
	if d != nil && (d.eval != nil || d.outcome != unchanged) {
		return d.eval == ev
	}
	if t.p.running[ev.doc] != ev {
		return false
	}
	h, known, err := t.p.header(ev.id)
	if err != nil || !known || h.Input != ev.inputFP || h.Status != Pending {
		return false
	}
	if d == nil {
		d = t.add(ev.id, h, known)
	}
	t.counts.Noop += int64(d.folded) // what was folded altered nothing
	d.folded, d.position = 0, h.Position
	d.eval, d.input, d.loaded, d.inputFP = ev, ev.input, true, ev.inputFP
	return true
}

// Evaluations returns how many documents of the transaction are evaluated.
func (t *Tx) Evaluations() (n int) {
	for _, d := range t.order {
		if d.eval != nil {
			n++
		}
	}
	return n
}

// Open returns how many evaluations of this transaction's documents are not finished.
func (t *Tx) Open() (n int) {
	for _, d := range t.order {
		if d.eval != nil && !d.eval.done {
			n++
		}
	}
	return n
}

// Urgent is Open without the documents of the backlog.
func (t *Tx) Urgent() (n int) {
	for _, d := range t.order {
		if d.eval != nil && !d.eval.done && !d.eval.later {
			n++
		}
	}
	return n
}

// Failure returns the first error of a finished evaluation that no document is to blame for: it stops the partition.
func (t *Tx) Failure() error {
	for _, d := range t.order {
		if d.eval != nil && d.eval.done && d.eval.err != nil && stream.KindOf(d.eval.err) != stream.Invalid && !parks(d.eval.err) {
			return d.eval.err
		}
	}
	return nil
}
