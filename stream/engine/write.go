package engine

import (
	"github.com/freshet-dev/freshet/stream"
)

// write stores the document's header and, where it changed, its input.
func (t *Tx) write(d *document) error {
	if d.outcome == unchanged {
		return nil
	}
	t.tally(d.known, &d.header, -1)
	if d.known {
		t.stats.Contents.header(&d.header, -1)
	}
	if d.outcome == removed {
		t.forget(d)
		return nil
	}
	h := d.header
	if err := t.fetchInline(d, &h); err != nil {
		return err
	}
	switch {
	case d.deleted:
		t.dropInput(d)
		h.Input, h.Inline, h.Parts, h.InputBytes = stream.Fingerprint{}, nil, 0, 0
	case d.encoded != nil && (!d.known || d.inputFP != h.Input):
		t.writeInput(d, &h)
	}
	h.ID, h.Image, h.Position, h.Open = d.id, d.image, d.position, 0
	h.Parked = d.parked
	if d.folded > 0 || h.Failed == nil {
		h.Reason, h.Failed, h.Status = "", nil, Live
	} else {
		h.Status = Quarantined // it was only evaluated again: its last change is still not understood
	}
	switch d.outcome {
	case waiting, parked:
		h.Status, h.Open = Pending, d.eval.changes
		if err := t.writePending(d); err != nil {
			return err
		}
	case due:
		h.Status, h.Open = Pending, d.header.Open
		if err := t.writePending(d); err != nil {
			return err
		}
	case failed:
		h.Status, h.Reason = Quarantined, reason(d.refused)
		if d.eval == nil {
			at := d.refusedAt
			h.Failed = &at
		}
	}
	t.stats.Seen.Pending += h.Open - d.header.Open
	if d.eval != nil && d.outcome != waiting && d.outcome != parked {
		h.ReadSet, h.Logic = d.eval.readSet, t.p.config.Program.Logic()
	}
	if d.known && d.header.Status == Pending && h.Status != Pending {
		t.ov.delete(docKey(keyPending, d.fp))
	}
	t.tally(true, &h, 1)
	encoded := encode(h)
	t.ov.put(docKey(keyHeader, d.fp), encoded)
	h.size = len(encoded)
	t.stats.Contents.header(&h, 1)
	h.Inline = nil // the cache keeps no inputs
	d.header = h
	return nil
}

// writePending indexes a pending document. One that is parked has been pending since it was evaluated first.
func (t *Tx) writePending(d *document) error {
	key, since := docKey(keyPending, d.fp), int64(0)
	if d.outcome == due || d.outcome == parked && d.eval == t.p.running[d.fp] {
		v, _, err := t.ov.get(key)
		if err != nil {
			return err
		}
		since, _, _, _ = readPendingEntry(v)
	}
	if since == 0 {
		since = t.p.config.Now()
	}
	t.ov.put(key, pendingEntry(since, d.parked))
	return nil
}

func (t *Tx) tally(known bool, h *Header, by int64) {
	if !known {
		return
	}
	t.stats.Documents += by
	switch h.Status {
	case Pending:
		t.stats.Pending += by
		t.stats.Contents.Other.add(int(by), int(by)*(oneKey+len(pendingEntry(0, h.Parked))))
	case Quarantined:
		t.stats.Quarantined += by
	}
}

func (t *Tx) writeInput(d *document, h *Header) {
	parts := (len(d.encoded) + inputPart - 1) / inputPart
	h.Inline = nil
	if len(d.encoded) <= inlineInput {
		parts, h.Inline = 0, d.encoded
	}
	for i := range parts {
		t.ov.put(partKey(d.fp, i), d.encoded[i*inputPart:min(len(d.encoded), (i+1)*inputPart)])
	}
	for i := parts; i < h.Parts; i++ {
		t.ov.delete(partKey(d.fp, i))
	}
	h.Input, h.Parts, h.InputBytes = d.inputFP, parts, len(d.encoded)
}

// fetchInline completes a header that comes from the cache and keeps its input.
func (t *Tx) fetchInline(d *document, h *Header) error {
	if !d.known || h.Parts > 0 || h.InputBytes == 0 || h.Inline != nil || d.deleted || d.encoded != nil && d.inputFP != h.Input {
		return nil
	}
	if d.encoded != nil {
		h.Inline = d.encoded
		return nil
	}
	stored, _, err := FindDocument(t.p.Store, d.id)
	h.Inline = stored.Inline
	return err
}

// forget deletes a document's input and header (invariant 9); its rows and memo references went with emit.
func (t *Tx) forget(d *document) {
	t.dropInput(d)
	t.stats.Seen.Pending -= d.header.Open
	t.ov.delete(docKey(keyHeader, d.fp))
	if d.header.Status == Pending {
		t.ov.delete(docKey(keyPending, d.fp))
	}
}

func (t *Tx) dropInput(d *document) {
	for i := range d.header.Parts {
		t.ov.delete(partKey(d.fp, i))
	}
}
