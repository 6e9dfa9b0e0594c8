package engine

import (
	"errors"
	"fmt"

	"github.com/freshet-dev/freshet/stream"
)

// Tx is the work of one transaction on one partition: changes are folded, documents evaluated, and what follows is
// collected; nothing of the partition changes before Commit.
type Tx struct {
	p       *Partition
	ov      *overlay
	docs    map[string]*document
	order   []*document
	counts  Counts
	stats   Stats
	next    int64                // input offset after the last record; -1: none read
	water   int64                // newest source time seen, unix ns
	pass    int64                // generation whose pass mark is written; 0: none
	due     int                  // documents looked at from the head of the backlog
	later   []stream.Fingerprint // those of them that stay in it
	change  stream.Change        // being folded
	glanced *stream.Record       // the last one that was not decoded

	purge      bool // a document is forgotten
	purged     []stream.Fingerprint
	morePurges bool

	collecting bool // what the sweep found is to go
	collected  []stream.Fingerprint
}

// document is a document as the transaction sees it.
type document struct {
	id        string
	fp        stream.Fingerprint
	header    Header // as committed, until settle
	known     bool   // a header is committed
	input     stream.Value
	encoded   []byte // canonical encoding of input
	inputFP   stream.Fingerprint
	image     stream.Fingerprint
	sight     sight // of the record that image comes from
	loaded    bool  // input holds the current fields
	folded    int   // changes folded in this transaction
	deleted   bool
	gone      bool // a delete was folded in this transaction: rows from before it go, whatever came after it
	position  stream.Position
	refused   error // the last change could not be understood
	refusedAt stream.Position
	eval      *Evaluation
	parked    *Parked // with outcome parked
	outages   int64   // of parked.Node that had ended
	outcome   outcome
}

type outcome uint8

const (
	unsettled outcome = iota
	unchanged
	stored    // new input, nothing that formulas read
	evaluated // rows are to be diffed with eval's
	waiting   // pending
	parked    // pending, and not evaluated until it is due
	due       // pending, to be evaluated once the transaction has committed
	failed    // quarantined
	removed
)

// Begin starts a transaction.
func (p *Partition) Begin() *Tx {
	t := &Tx{p: p, ov: newOverlay(p.Store), docs: map[string]*document{}, stats: p.Stats(), next: -1}
	if t.stats.Rows == nil {
		t.stats.Rows = map[string]int64{}
	}
	return t
}

// Fold folds one record. An error means the partition's state can't be trusted or read: the partition must stop.
//
// Invariant 6: records are folded in the order of the partition; no earlier change is dropped before it was folded.
func (t *Tx) Fold(r *stream.Record) error {
	t.next = r.Offset + 1
	if t.repeated(r) {
		t.counts.Noop++
		return nil
	}
	c, err := t.p.config.Decoder.Decode(r)
	t.water = max(t.water, c.Position.Time)
	if err != nil {
		return t.refuse(c, r, err)
	}
	switch c.Op {
	case stream.Other:
		addTo(&t.counts.Other, c.Other, 1)
		return nil
	case stream.Delete:
		d, err := t.document(c.Document)
		if err != nil {
			return err
		}
		d.fold(c)
		d.gone, d.deleted, d.loaded, d.input, d.image = true, true, true, stream.Value{}, stream.Fingerprint{}
		return nil
	}
	t.change = c // kept off the heap: most changes are no-ops
	return t.upsert(&t.change)
}

// keyed is a decoder of records whose key alone names the document, and of whose values a beginning (Change.Begins)
// decides the image.
type keyed interface {
	// Upserts reports whether a value that begins as an upsert's does is one, by the bytes that follow. It may say no of one.
	Upserts(rest []byte) bool
}

// repeated reports whether the record begins as the last one did that repeated its document's image, as most do: it is the quickest way
// to know it. Its source time is read at the end, if no other record comes after it.
func (t *Tx) repeated(r *stream.Record) bool {
	if t.p.keyed == nil {
		return false
	}
	rest, ok := t.p.headers.begins(r.Key, r.Value)
	if !ok || !t.p.keyed.Upserts(rest) {
		return false
	}
	t.glanced = r
	return true
}

func (t *Tx) upsert(c *stream.Change) error {
	var s sight
	if t.p.keyed != nil {
		s = t.p.headers.sight(c)
	}
	d := t.docs[c.Document]
	if d == nil && t.seen(c, s) {
		t.counts.Noop++
		return nil
	}
	image := t.image(c)
	if d == nil {
		h, known, err := t.p.header(c.Document)
		if err != nil {
			return err
		}
		if known && !image.IsZero() && h.Image == image && h.Failed == nil {
			t.remember(c, s)
			t.counts.Noop++
			return nil
		}
		d = t.add(c.Document, h, known)
	}
	fields, unavailable, err := t.p.config.Decoder.Fields(c)
	if err != nil {
		return t.refuse(*c, c.Record, err)
	}
	return t.merge(d, c, s, image, fields, unavailable)
}

func (t *Tx) seen(c *stream.Change, s sight) bool {
	if t.p.keyed == nil {
		return t.p.headers.repeats(c.Document, c.Image)
	}
	return t.p.headers.seen(s)
}

func (t *Tx) remember(c *stream.Change, s sight) {
	if t.p.keyed == nil {
		t.p.headers.remember(c.Document, c.Image)
		return
	}
	t.p.headers.note(c.Document, s)
}

// merge replaces the input, but for the fields that the source did not send: those keep their stored value.
func (t *Tx) merge(d *document, c *stream.Change, s sight, image stream.Fingerprint, fields stream.Value, unavailable []string) error {
	d.fold(*c)
	d.sight = s
	if len(unavailable) == 0 && !t.p.config.Program.ReadsRecord() {
		d.input, d.loaded, d.deleted, d.image = fields, true, false, image
		return nil
	}
	entries := fields.Entries()
	if len(unavailable) > 0 {
		if err := t.loadInput(d); err != nil {
			return err
		}
		for _, name := range unavailable {
			if old, ok := d.input.Get(name); ok {
				entries = append(entries, stream.Entry{Key: name, Value: old})
			}
		}
		image = stream.Fingerprint{}
	}
	if t.p.config.Program.ReadsRecord() {
		entries = append(entries, stream.Entry{Key: "record", Value: recordMetadata(c.Record)})
	}
	d.input, d.loaded, d.deleted, d.image = stream.MapOf(entries...), true, false, image
	return nil
}

func (d *document) fold(c stream.Change) {
	d.folded++
	d.position, d.refused = c.Position, nil
}

// image returns the fingerprint of a change's image, zero when equal images need not mean equal inputs: merge sees to
// images with columns that the source did not send.
func (t *Tx) image(c *stream.Change) stream.Fingerprint {
	if len(c.Image) == 0 || t.p.config.Program.ReadsRecord() {
		return stream.Fingerprint{}
	}
	f := stream.FingerprintBytes(c.Image)
	for i, s := range t.p.config.Salt {
		f[i] ^= s
	}
	return f
}

// refuse quarantines what could not be understood: the document that the change names, else the record by position.
func (t *Tx) refuse(c stream.Change, r *stream.Record, cause error) error {
	if stream.KindOf(cause) != stream.Invalid {
		return fmt.Errorf("decode record %s/%d@%d: %w", r.Topic, r.Partition, r.Offset, cause)
	}
	if c.Record != nil {
		r = c.Record // as it lies on the source's topic, which need not be the one that is read here
	}
	if c.Document == "" {
		return t.reject(r, cause)
	}
	d, err := t.document(c.Document)
	if err != nil {
		return err
	}
	d.folded++
	d.refused = cause
	d.refusedAt = stream.Position{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Source: c.Position.Source, Time: c.Position.Time}
	return nil
}

const rejectedValue = 64 << 10

func (t *Tx) reject(r *stream.Record, cause error) error {
	pos := stream.Position{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset}
	record := encode(Rejected{Position: pos, Reason: reason(cause), Key: r.Key, Value: r.Value[:min(len(r.Value), rejectedValue)]})
	t.ov.put(rejectedKey(pos), record)
	t.stats.Contents.Other.add(1, oneKey+len(record))
	t.stats.Rejected++
	t.counts.Quarantined++
	return nil
}

// reason is the text kept with a quarantined document: the cause without the names of the layers above it.
func reason(err error) string {
	var e *stream.Error
	if errors.As(err, &e) {
		return e.Error()
	}
	return err.Error()
}

func (t *Tx) document(id string) (*document, error) {
	if d := t.docs[id]; d != nil {
		return d, nil
	}
	h, known, err := t.p.header(id)
	if err != nil {
		return nil, err
	}
	return t.add(id, h, known), nil
}

func (t *Tx) add(id string, h Header, known bool) *document {
	d := &document{id: id, fp: documentFingerprint(id), header: h, known: known, image: h.Image, position: h.Position}
	t.docs[id] = d
	t.p.headers.touch(id) // it is looked up in docs from now on
	t.order = append(t.order, d)
	return d
}

func (t *Tx) loadInput(d *document) error {
	if d.loaded || !d.known {
		d.loaded = true
		return nil
	}
	in, err := ReadInput(t.p.Store, d.header)
	d.input, d.loaded = in, true
	return err
}

func recordMetadata(r *stream.Record) stream.Value {
	headers := make([]stream.Entry, 0, len(r.Headers))
	for _, h := range r.Headers {
		headers = append(headers, stream.Entry{Key: h.Key, Value: stream.StringOf(string(h.Value))})
	}
	return stream.MapOf(
		stream.Entry{Key: "key", Value: stream.StringOf(string(r.Key))},
		stream.Entry{Key: "headers", Value: stream.MapOf(headers...)},
		stream.Entry{Key: "timestamp", Value: stream.TimestampOf(r.Timestamp)})
}
