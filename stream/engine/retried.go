package engine

import "github.com/freshet-dev/freshet/stream"

// Retried is what becomes of a document that is asked to be evaluated again.
type Retried uint8

// What a retry comes to.
const (
	RetryDue      Retried = iota // it is evaluated again, with attempts of its own
	RetryUnknown                 // there is no such document
	RetryLive                    // it is neither parked nor quarantined
	RetryUnderWay                // it is being evaluated, or about to be
	RetryUnread                  // its last change could not be understood: its source has to write it anew
)

// Retry makes a document due that is parked, or was quarantined by its evaluation: once the transaction has committed, it is
// evaluated again from its stored input (Resume). Call it after Settle.
func (t *Tx) Retry(id string) (Retried, error) {
	d := t.docs[id]
	if d == nil {
		h, known, err := t.p.header(id)
		if err != nil || !known {
			return RetryUnknown, err
		}
		if r := t.retriable(&document{fp: documentFingerprint(id), header: h}); r != RetryDue {
			return r, nil
		}
		d = t.add(id, h, true)
	} else if r := t.retriable(d); r != RetryDue {
		return r, nil
	}
	t.counts.Noop += int64(d.folded) // what was folded altered nothing
	d.folded, d.position, d.outcome = 0, d.header.Position, due
	return RetryDue, nil
}

func (t *Tx) retriable(d *document) Retried {
	h := &d.header
	switch {
	case d.outcome == removed:
		return RetryUnknown
	case d.outcome == failed, h.Status == Quarantined && (h.Failed != nil || h.Input.IsZero()):
		return RetryUnread
	case d.eval != nil, t.p.running[d.fp] != nil, d.outcome == due, h.Status == Pending && h.Parked == nil:
		return RetryUnderWay
	case h.Status == Live:
		return RetryLive
	}
	return RetryDue
}

// Droppable reports whether a document is quarantined, so that it may be given up: Forget does it. Call it after Fold.
func (t *Tx) Droppable(id string) (known, quarantined bool, err error) {
	h, known, err := t.p.header(id)
	d := t.docs[id]
	return known, known && h.Status == Quarantined && (d == nil || d.refused != nil), err
}

// DropRejected gives a record up that could not be understood and names no document. It reports whether there was one.
func (t *Tx) DropRejected(at stream.Position) (bool, error) {
	key := rejectedKey(at)
	record, held, err := t.ov.get(key)
	if err != nil || !held {
		return false, err
	}
	t.ov.delete(key)
	t.stats.Contents.Other.add(-1, -oneKey-len(record))
	t.stats.Rejected--
	return true, nil
}

// HoldsRejected reports whether a store has such a record; only topic, partition and offset count.
func HoldsRejected(s Store, at stream.Position) (bool, error) {
	_, held, err := s.Get(rejectedKey(at))
	return held, err
}

func rejectedKey(at stream.Position) []byte {
	id := stream.FingerprintBytes(encode(stream.Position{Topic: at.Topic, Partition: at.Partition, Offset: at.Offset}))
	return append([]byte{keyRejected}, id[:]...)
}
