package engine

import (
	"encoding/binary"

	"github.com/freshet-dev/freshet/stream"
)

// Output is what a transaction writes for one partition, progress excepted. Row records are in order, each document's
// contiguous (invariant 5).
type Output struct {
	Rows      []stream.Record
	Entries   []stream.StateEntry
	Counts    Counts
	Next      int64 // input offset after the last record folded; -1: none was
	Watermark int64 // newest source time of the changes, and of the last record if it was a no-op, unix ns
	Stats     Stats // after the transaction

	due int // documents of the backlog that it looked at
}

// Empty reports whether the transaction changes nothing, read nothing and looked at nothing of the backlog.
func (o *Output) Empty() bool { return len(o.Rows)+len(o.Entries)+o.due == 0 && o.Next < 0 }

// Finish decides every document's outcome and returns what is to be written. What is not evaluated yet becomes pending.
func (t *Tx) Finish() (*Output, error) {
	if t.glanced != nil {
		if c, err := t.p.config.Decoder.Decode(t.glanced); err == nil {
			t.water = max(t.water, c.Position.Time)
		}
	}
	out := &Output{Next: t.next, Watermark: t.water, due: t.due}
	for _, d := range t.order {
		if err := t.finish(d, out); err != nil {
			return nil, err
		}
	}
	if t.purge {
		if err := t.dropUnused(); err != nil {
			return nil, err
		}
	}
	if t.collecting {
		if err := t.collect(); err != nil {
			return nil, err
		}
	}
	if len(t.ov.written) > 0 || t.next >= 0 {
		t.see()
		t.ov.put([]byte{keyStats}, encode(t.stats))
	}
	out.Entries, out.Counts, out.Stats = t.ov.entries(), t.counts, t.stats
	return out, nil
}

// see adds the transaction's changes to those counted since the partition's first.
func (t *Tx) see() {
	s := &t.stats.Seen
	s.Applied += t.counts.Applied
	s.Noop += t.counts.Noop
	s.Superseded += t.counts.Superseded
	s.Quarantined += t.counts.Quarantined
	for _, n := range t.counts.Other {
		s.Other += n
	}
}

// MarkPass notes that the first full pass of a generation was marked in the rows topic; call it before Finish.
func (t *Tx) MarkPass(generation int64) {
	t.ov.put([]byte{keyPassMarked}, binary.BigEndian.AppendUint64(nil, uint64(generation)))
	t.pass = generation
}

func (t *Tx) finish(d *document, out *Output) error {
	if d.eval != nil {
		d.outcome = waiting
		if d.eval.done {
			d.outcome = evaluated
			switch {
			case parks(d.eval.err):
				t.park(d)
			case d.eval.err != nil:
				d.outcome, d.refused = failed, d.eval.err
			}
		}
	}
	if d.outcome == evaluated {
		refused, err := t.emit(d, d.eval.rows, d.eval.memos, out)
		if err != nil {
			return err
		}
		if refused != nil {
			d.outcome, d.refused = failed, refused
		}
	}
	if d.gone && (d.outcome == removed || d.outcome == failed || d.outcome == waiting || d.outcome == parked) {
		if _, err := t.emit(d, nil, nil, out); err != nil {
			return err
		}
	}
	t.count(d)
	return t.write(d)
}

// count books every change of the document in exactly one outcome (invariant 8).
func (t *Tx) count(d *document) {
	n := int64(d.folded)
	if d.outcome == due {
		return // its changes are as open, or as counted, as they were
	}
	if pending := d.eval != nil && d.eval == t.p.running[d.fp]; !pending && d.outcome != unchanged {
		t.counts.Superseded += d.header.Open
	}
	if d.outcome == unchanged {
		t.counts.Noop += n
		return
	}
	if n > 0 {
		t.counts.Superseded += n - 1
		n = 1
	}
	if d.eval != nil {
		n = d.eval.changes
	}
	switch d.outcome {
	case stored, evaluated:
		t.counts.Applied += n
	case removed:
		t.counts.Applied += n
		t.counts.Deleted++
	case failed:
		t.counts.Quarantined += n
	}
	if d.eval != nil && d.outcome != waiting && d.outcome != parked {
		t.counts.Evaluated++
	}
}
