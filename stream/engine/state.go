package engine

import (
	"encoding/binary"
	"maps"

	"github.com/freshet-dev/freshet/schemas"
	"github.com/freshet-dev/freshet/stream"
)

// FormatVersion is the version of all state entries; a store or changelog of an unknown one is wiped or refused.
const FormatVersion = 1

// State keys: one byte of kind, then the fingerprint of the document ID and what follows.
const (
	keyHeader     = 'h' // document → header
	keyInput      = 'i' // document, part number → part of the input's canonical encoding
	keyRow        = 'r' // document, fingerprint of (table, key) → emittedRow
	keyMemoRef    = 'e' // document, memo key → number of elements that use the memo
	keyMemo       = 'm' // memo key → value
	keyMemoUse    = 'u' // memo key → memoUse
	keyPending    = 'p' // document → since when (unix ns), and of a parked one when it is due; see pendingEntry
	keyRejected   = 'q' // fingerprint of the position → rejected record without a document
	keyStats      = 's' // → Stats
	keyPassMarked = 'g' // → generation whose pass mark was written
)

const (
	inlineInput = 4 << 10   // bytes of an input that lies in its header
	inputPart   = 256 << 10 // bytes of one stored part of a larger input
	fewRows     = 4         // rows that lie in their document's header
)

// Status of a document.
type Status uint8

// Statuses. A document that was deleted has no header.
const (
	Live Status = iota
	Pending
	Quarantined
)

// String names the status as commands print it.
func (s Status) String() string { return [...]string{"live", "pending", "quarantined"}[s] }

// Header is what the state knows of one document.
type Header struct {
	ID         string             `cbor:"1,keyasint"`
	Status     Status             `cbor:"2,keyasint,omitempty"`
	Image      stream.Fingerprint `cbor:"3,keyasint"` // of the last folded image; zero when it does not determine the input
	Input      stream.Fingerprint `cbor:"4,keyasint"` // of the stored input; zero: none is stored
	ReadSet    stream.Fingerprint `cbor:"5,keyasint"` // of the fields that the last evaluation read
	Logic      stream.Fingerprint `cbor:"6,keyasint"` // of the program that evaluated last
	Position   stream.Position    `cbor:"7,keyasint"` // of the last change that altered the input
	Parts      int                `cbor:"8,keyasint,omitempty"`
	InputBytes int                `cbor:"9,keyasint,omitempty"`
	Rows       int                `cbor:"10,keyasint,omitempty"` // rows in the rows topic
	Memos      int                `cbor:"13,keyasint,omitempty"` // memo references
	Reason     string             `cbor:"11,keyasint,omitempty"` // why it is quarantined
	Failed     *stream.Position   `cbor:"12,keyasint,omitempty"` // the change that failed, when it is not Position
	Open       int64              `cbor:"14,keyasint,omitempty"` // changes that the pending evaluation carries
	// What is small lies in the header itself, which saves an entry each. Large inputs lie in Parts, many rows in entries
	// of their own, so that a change rewrites only what it touches.
	Inline []byte       `cbor:"15,keyasint,omitempty"` // the input's encoding, up to inlineInput bytes
	Few    []emittedRow `cbor:"16,keyasint,omitempty"` // the rows, up to fewRows
	Parked *Parked      `cbor:"17,keyasint,omitempty"` // of a pending document: it rests until it is due

	size int // of its encoding in the state, when it comes from there
}

type emittedRow struct {
	Table       string             `cbor:"1,keyasint"`
	Key         string             `cbor:"2,keyasint"`
	Fingerprint stream.Fingerprint `cbor:"3,keyasint"`
}

type memoUse struct {
	Count  int64 `cbor:"1,keyasint"`
	Unused int64 `cbor:"2,keyasint,omitempty"` // since when no document uses it, unix ns
	Size   int   `cbor:"3,keyasint,omitempty"` // of the memo's value in bytes; 0: another build wrote it
}

// Rejected is a record that could not be understood and names no document.
type Rejected struct {
	Position stream.Position `cbor:"1,keyasint"`
	Reason   string          `cbor:"2,keyasint"`
	Key      []byte          `cbor:"3,keyasint,omitempty"`
	Value    []byte          `cbor:"4,keyasint,omitempty"` // the first 64 KiB
}

// Stats counts what a partition's state holds.
type Stats struct {
	Documents   int64            `cbor:"1,keyasint" json:"documents"`
	Pending     int64            `cbor:"2,keyasint" json:"pending"`
	Quarantined int64            `cbor:"3,keyasint" json:"quarantined"`
	Rejected    int64            `cbor:"4,keyasint" json:"rejected"`
	Rows        map[string]int64 `cbor:"5,keyasint" json:"rows"`
	Seen        schemas.Counts   `cbor:"6,keyasint" json:"-"` // changes since the partition's first
	// Contents is nil where another build wrote last, which did not count.
	Contents *Contents `cbor:"7,keyasint,omitempty" json:"contents,omitempty"`
}

// Add adds o's documents, rows and contents to s; Seen stays, which only a partition counts.
func (s *Stats) Add(o Stats) {
	s.Documents += o.Documents
	s.Pending += o.Pending
	s.Quarantined += o.Quarantined
	s.Rejected += o.Rejected
	for table, n := range o.Rows {
		addTo(&s.Rows, table, n)
	}
	if o.Contents != nil {
		if s.Contents == nil {
			s.Contents = &Contents{}
		}
		s.Contents.Add(*o.Contents)
	}
}

// clone returns a copy that shares nothing with s.
func (s *Stats) clone() Stats {
	out := *s
	out.Rows = maps.Clone(s.Rows)
	if s.Contents != nil {
		c := *s.Contents
		out.Contents = &c
	}
	return out
}

func docKey(kind byte, doc stream.Fingerprint, rest ...byte) []byte {
	k := make([]byte, 0, 1+len(doc)+len(rest))
	return append(append(append(k, kind), doc[:]...), rest...)
}

func partKey(doc stream.Fingerprint, part int) []byte {
	return docKey(keyInput, doc, binary.BigEndian.AppendUint32(nil, uint32(part))...)
}

func rowKey(doc stream.Fingerprint, table, key string) []byte {
	id := stream.FingerprintOf(stream.ListOf(stream.StringOf(table), stream.StringOf(key)))
	return docKey(keyRow, doc, id[:]...)
}

func memoKey(memo stream.Fingerprint) []byte { return append([]byte{keyMemo}, memo[:]...) }

func memoUseKey(memo stream.Fingerprint) []byte { return append([]byte{keyMemoUse}, memo[:]...) }

func memoRefKey(doc, memo stream.Fingerprint) []byte { return docKey(keyMemoRef, doc, memo[:]...) }

func documentFingerprint(id string) stream.Fingerprint { return stream.FingerprintBytes([]byte(id)) }

func encode(x any) []byte {
	b, err := stream.Marshal(x)
	if err != nil {
		panic(err) // state structures always encode
	}
	return b
}
