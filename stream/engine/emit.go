package engine

import (
	"encoding/binary"
	"sort"

	"github.com/freshet-dev/freshet/schemas"
	"github.com/freshet-dev/freshet/stream"
)

// Output is what a transaction writes for one partition, progress excepted. Row records are in order, each document's
// contiguous (invariant 5).
type Output struct {
	Rows      []stream.Record
	Entries   []stream.StateEntry
	Counts    Counts
	Next      int64 // input offset after the last record folded; -1: none was
	Watermark int64 // newest source time seen, unix ns
	Stats     Stats // after the transaction
}

// Empty reports whether the transaction changes nothing and read nothing.
func (o *Output) Empty() bool { return len(o.Rows)+len(o.Entries) == 0 && o.Next < 0 }

// Finish decides every document's outcome and returns what is to be written. What is not evaluated yet becomes pending.
func (t *Tx) Finish() (*Output, error) {
	out := &Output{Next: t.next, Watermark: t.water}
	for _, d := range t.order {
		if err := t.finish(d, out); err != nil {
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
			if d.eval.err != nil {
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
	if d.gone && (d.outcome == removed || d.outcome == failed || d.outcome == waiting) {
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
	if d.eval != nil && d.outcome != waiting {
		t.counts.Evaluated++
	}
}

// write stores the document's header and, where it changed, its input.
func (t *Tx) write(d *document) error {
	if d.outcome == unchanged {
		return nil
	}
	t.tally(d.known, d.header.Status, -1)
	if d.outcome == removed {
		t.forget(d)
		return nil
	}
	h := d.header
	switch {
	case d.deleted:
		t.dropInput(d)
		h.Input, h.Parts, h.InputBytes = stream.Fingerprint{}, 0, 0
	case d.encoded != nil && (!d.known || d.inputFP != h.Input):
		t.writeInput(d, &h)
	}
	h.ID, h.Image, h.Position, h.Open = d.id, d.image, d.position, 0
	if d.folded > 0 || h.Failed == nil {
		h.Reason, h.Failed, h.Status = "", nil, Live
	} else {
		h.Status = Quarantined // it was only evaluated again: its last change is still not understood
	}
	switch d.outcome {
	case waiting:
		h.Status, h.Open = Pending, d.eval.changes
		t.ov.put(docKey(keyPending, d.fp), binary.BigEndian.AppendUint64(nil, uint64(t.p.config.Now())))
	case failed:
		h.Status, h.Reason = Quarantined, reason(d.refused)
		if d.eval == nil {
			at := d.refusedAt
			h.Failed = &at
		}
	}
	t.stats.Seen.Pending += h.Open - d.header.Open
	if d.eval != nil && d.outcome != waiting {
		h.ReadSet, h.Logic = d.eval.readSet, t.p.config.Program.Logic()
	}
	if d.known && d.header.Status == Pending && h.Status != Pending {
		t.ov.delete(docKey(keyPending, d.fp))
	}
	t.tally(true, h.Status, 1)
	t.ov.put(docKey(keyHeader, d.fp), encode(h))
	d.header = h
	return nil
}

func (t *Tx) tally(known bool, s Status, by int64) {
	if !known {
		return
	}
	t.stats.Documents += by
	switch s {
	case Pending:
		t.stats.Pending += by
	case Quarantined:
		t.stats.Quarantined += by
	}
}

func (t *Tx) writeInput(d *document, h *Header) {
	parts := (len(d.encoded) + inputPart - 1) / inputPart
	for i := range parts {
		t.ov.put(partKey(d.fp, i), d.encoded[i*inputPart:min(len(d.encoded), (i+1)*inputPart)])
	}
	for i := parts; i < h.Parts; i++ {
		t.ov.delete(partKey(d.fp, i))
	}
	h.Input, h.Parts, h.InputBytes = d.inputFP, parts, len(d.encoded)
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

// rowChange is one row record to come: an upsert with its row, or a delete.
type rowChange struct {
	id  stream.RowID
	row *stream.Row // nil: delete
	fp  stream.Fingerprint
	new bool // the row was not there before
}

// emit diffs rows against those last emitted and appends the records of the difference, as one unit. A document whose
// row does not fit into a record is refused, and nothing of it is written.
func (t *Tx) emit(d *document, rows []stream.Row, memos map[stream.Fingerprint]*stream.Value, out *Output) (refused, err error) {
	changes, err := t.diff(d, rows)
	if err != nil {
		return nil, err
	}
	records, err := t.encodeRows(d, changes)
	switch {
	case stream.KindOf(err) == stream.Invalid:
		return err, nil
	case err != nil:
		return nil, err
	}
	for _, c := range changes {
		t.noteRow(d, c)
	}
	d.header.Rows = len(rows)
	out.Rows = append(out.Rows, records...)
	return nil, t.useMemos(d, memos)
}

func (t *Tx) diff(d *document, rows []stream.Row) ([]rowChange, error) {
	held, err := t.heldRows(d, rows)
	if err != nil {
		return nil, err
	}
	var changes []rowChange
	for i := range rows {
		id := stream.RowID{Table: rows[i].Table, Document: d.id, Key: rows[i].Key}
		fp := rows[i].Fingerprint()
		if old, ok := held[id]; !ok || old != fp {
			changes = append(changes, rowChange{id, &rows[i], fp, !ok})
		}
		delete(held, id)
	}
	for id := range held {
		changes = append(changes, rowChange{id: id})
	}
	sort.Slice(changes, func(i, j int) bool {
		a, b := changes[i].id, changes[j].id
		return a.Table < b.Table || a.Table == b.Table && a.Key < b.Key
	})
	return changes, nil
}

// fewRows is up to how many rows single look-ups beat a scan.
const fewRows = 4

// heldRows returns the fingerprints of the rows last emitted. Where they are few, looking up the keys of the new rows
// usually finds them all.
func (t *Tx) heldRows(d *document, rows []stream.Row) (map[stream.RowID]stream.Fingerprint, error) {
	held := make(map[stream.RowID]stream.Fingerprint, d.header.Rows)
	if d.header.Rows <= fewRows && len(rows) <= fewRows {
		for i := 0; i < len(rows) && len(held) < d.header.Rows; i++ {
			var r emittedRow
			ok, err := t.ov.load(rowKey(d.fp, rows[i].Table, rows[i].Key), &r)
			if err != nil {
				return nil, err
			}
			if ok {
				held[stream.RowID{Table: r.Table, Document: d.id, Key: r.Key}] = r.Fingerprint
			}
		}
	}
	if len(held) == d.header.Rows {
		return held, nil
	}
	old, err := emittedRows(t.p.Store, d.fp)
	for _, r := range old {
		held[stream.RowID{Table: r.Table, Document: d.id, Key: r.Key}] = r.Fingerprint
	}
	return held, err
}

func (t *Tx) encodeRows(d *document, changes []rowChange) ([]stream.Record, error) {
	records := make([]stream.Record, 0, len(changes))
	tables := map[string]stream.Table{}
	for _, table := range t.p.config.Program.Tables() {
		tables[table.Name] = table
	}
	for i, c := range changes {
		if c.row == nil {
			records = append(records, schemas.EncodeDelete(c.id, i+1, len(changes)))
			continue
		}
		l := schemas.LineageOf(d.id, d.position, t.p.config.Program.Logic().String(), t.p.config.Program.TableLineage(c.id.Table))
		r, err := schemas.EncodeRow(tables[c.id.Table], *c.row, d.id, l, i+1, len(changes))
		if err != nil {
			return nil, err
		}
		if n := len(r.Key) + len(r.Value); n > t.p.config.MaxRecord {
			return nil, &stream.Error{Op: "write row " + c.id.Key + " of table " + c.id.Table, Doc: d.id, Kind: stream.Invalid,
				Err: stream.Errorf(stream.Invalid, "encode", "the row has %d bytes, a record may have %d; leave out or shorten a column", n, t.p.config.MaxRecord)}
		}
		records = append(records, r)
	}
	return records, nil
}

func (t *Tx) noteRow(d *document, c rowChange) {
	key := rowKey(d.fp, c.id.Table, c.id.Key)
	if c.row == nil {
		t.ov.delete(key)
		t.stats.Rows[c.id.Table]--
		t.counts.table(c.id.Table, TableCount{Deletes: 1})
		return
	}
	if c.new {
		t.stats.Rows[c.id.Table]++
	}
	t.ov.put(key, encode(emittedRow{Table: c.id.Table, Key: c.id.Key, Fingerprint: c.fp}))
	t.counts.table(c.id.Table, TableCount{Upserts: 1})
}

// useMemos replaces the document's memo references and keeps the use counts (absolute, serial per partition).
func (t *Tx) useMemos(d *document, memos map[stream.Fingerprint]*stream.Value) error {
	old := map[stream.Fingerprint]bool{}
	if d.header.Memos > 0 {
		err := t.p.Store.Scan(docKey(keyMemoRef, d.fp), nil, func(k, _ []byte) (bool, error) {
			old[stream.Fingerprint(k[17:33])] = true
			return true, nil
		})
		if err != nil {
			return err
		}
	}
	for key, v := range memos {
		if old[key] {
			delete(old, key)
			continue
		}
		t.ov.put(memoRefKey(d.fp, key), []byte{})
		if err := t.useMemo(key, v, 1); err != nil {
			return err
		}
	}
	for key := range old {
		t.ov.delete(memoRefKey(d.fp, key))
		if err := t.useMemo(key, nil, -1); err != nil {
			return err
		}
	}
	d.header.Memos = len(memos)
	return nil
}

func (t *Tx) useMemo(key stream.Fingerprint, v *stream.Value, by int64) error {
	var use memoUse
	if _, err := t.ov.load(append([]byte{keyMemoUse}, key[:]...), &use); err != nil {
		return err
	}
	use.Count, use.Unused = use.Count+by, 0
	if use.Count <= 0 {
		use.Count, use.Unused = 0, t.p.config.Now()
	}
	t.ov.put(append([]byte{keyMemoUse}, key[:]...), encode(use))
	if v == nil {
		return nil
	}
	valueKey := append([]byte{keyMemo}, key[:]...)
	if _, ok, err := t.ov.get(valueKey); err != nil || ok {
		return err
	}
	t.ov.put(valueKey, stream.AppendValue(nil, *v))
	return nil
}
