package engine

import (
	"errors"
	"fmt"

	"github.com/freshet-dev/freshet/stream"
)

// Amount is how many there are of one kind, and the bytes of their entries' keys and values, before the store compresses them.
type Amount struct {
	Count int64 `cbor:"1,keyasint,omitempty" json:"count"`
	Bytes int64 `cbor:"2,keyasint,omitempty" json:"bytes"`
}

func (a *Amount) add(count, bytes int) {
	a.Count, a.Bytes = a.Count+int64(count), a.Bytes+int64(bytes)
}

func (a *Amount) sum(o Amount) { a.Count, a.Bytes = a.Count+o.Count, a.Bytes+o.Bytes }

// Contents says what a partition's state consists of. It is kept by each transaction, in the entry of the statistics, and
// equals what a walk over the state counts; that entry and the mark of a pass are in none.
type Contents struct {
	Documents Amount `cbor:"1,keyasint" json:"documents"`    // headers, without the inputs in them; few rows are noted there
	Inputs    Amount `cbor:"2,keyasint" json:"inputs"`       // stored fields of documents
	Rows      Amount `cbor:"3,keyasint" json:"rows"`         // emitted rows; bytes of those that aren't noted in a header
	Memos     Amount `cbor:"4,keyasint" json:"memos"`        // results that a document uses
	Unused    Amount `cbor:"5,keyasint" json:"unused_memos"` // results that none uses
	Other     Amount `cbor:"6,keyasint" json:"other"`        // references and use counts of memos, index of pending documents, rejected records
}

// Add adds o.
func (c *Contents) Add(o Contents) {
	c.Documents.sum(o.Documents)
	c.Inputs.sum(o.Inputs)
	c.Rows.sum(o.Rows)
	c.Memos.sum(o.Memos)
	c.Unused.sum(o.Unused)
	c.Other.sum(o.Other)
}

// Bytes of keys, and of entries that all have the same size.
const (
	oneKey  = 1 + len(stream.Fingerprint{})      // of a document or a memo
	twoKeys = oneKey + len(stream.Fingerprint{}) // of a row or a reference, which has no value
	partOne = oneKey + 4                         // of a part of an input
)

// header counts a document's header, and its input, in (by is 1) or out (-1).
func (c *Contents) header(h *Header, by int) {
	inline, parts := h.InputBytes, 0
	if h.Parts > 0 {
		inline, parts = 0, h.Parts*partOne+h.InputBytes
	}
	c.Documents.add(by, by*(oneKey+h.size-inline))
	if !h.Input.IsZero() {
		c.Inputs.add(by, by*(inline+parts))
	}
}

// memo counts a memo in or out, by what its use record says.
func (c *Contents) memo(use memoUse, by int) {
	a := &c.Memos
	if use.Count == 0 {
		a = &c.Unused
	}
	a.add(by, by*(oneKey+use.Size))
}

// CountContents walks over a whole state, e.g. one in which another build did not count.
func CountContents(s Store) (*Contents, error) {
	c := &Contents{}
	unused := map[stream.Fingerprint]bool{}
	other := func(k, v []byte) error { c.Other.add(1, len(k)+len(v)); return nil }
	for _, of := range []struct {
		kind byte
		each func(k, v []byte) error
	}{
		{keyMemoRef, other}, {keyPending, other}, {keyRejected, other},
		{keyHeader, func(_, v []byte) error {
			h := Header{size: len(v)}
			err := stream.Unmarshal(v, &h)
			c.header(&h, 1)
			c.Rows.Count += int64(h.Rows)
			return err
		}},
		{keyRow, func(k, v []byte) error { c.Rows.add(0, len(k)+len(v)); return nil }},
		{keyMemoUse, func(k, v []byte) error {
			var use memoUse
			err := stream.Unmarshal(v, &use)
			if use.Count == 0 {
				unused[stream.Fingerprint(k[1:17])] = true
			}
			return errors.Join(err, other(k, v))
		}},
		{keyMemo, func(k, v []byte) error {
			use := memoUse{Count: 1, Size: len(v)}
			if unused[stream.Fingerprint(k[1:17])] {
				use.Count = 0
			}
			c.memo(use, 1)
			return nil
		}},
	} {
		err := s.Scan([]byte{of.kind}, nil, func(k, v []byte) (bool, error) { return true, of.each(k, v) })
		if err != nil {
			return nil, fmt.Errorf("count entries of kind %c: %w", of.kind, err)
		}
	}
	return c, nil
}
