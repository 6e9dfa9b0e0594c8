package stream

import "fmt"

// MaxPacked bounds a packed version: exact in doubles and in JSON numbers.
const MaxPacked = 1 << 53

const offsetBits = 43

// Version orders the writes of a row: the generation of the flow, then the offset of the row's record in the rows topic.
type Version struct {
	Generation int64
	Offset     int64
}

// Pack returns generation·2^43 + offset, below 2^53: order-preserving.
func (v Version) Pack() int64 { return v.Generation<<offsetBits | v.Offset }

// FirstOf returns the first version of a generation. What lies below the first generation was written by no flow, and counts to it.
func FirstOf(generation int64) Version {
	if generation <= 1 {
		return Version{}
	}
	return Version{Generation: generation}
}

// Unpack undoes Pack.
func Unpack(packed int64) Version {
	return Version{Generation: packed >> offsetBits, Offset: packed & (1<<offsetBits - 1)}
}

// Before reports whether v is older than o.
func (v Version) Before(o Version) bool { return v.Pack() < o.Pack() }

// String writes generation.offset.
func (v Version) String() string { return fmt.Sprintf("%d.%d", v.Generation, v.Offset) }

// Table declares a table of a flow: its name and columns, in order of name.
type Table struct {
	Name    string
	Columns []Field
	Keyed   bool        // a document may have several rows, each with a key; else it has one, whose key is ""
	Shared  []MergeRule // by column; nil: each row stands for itself, else rows of several documents with one key are one
}

// MergeRule says which value a column of a shared row takes among the contributions to it, in order of (document ID, key). Null
// contributes nothing.
type MergeRule uint8

// The rules. Of equal values the first counts.
const (
	MergeFirst   MergeRule = iota
	MergeLongest           // the longest text, bytes, list or map
	MergeMax               // the greatest
)

// String returns the rule's name in flow files.
func (m MergeRule) String() string { return [...]string{"first", "longest", "max"}[m] }

// Row is one row that a document contributes to a table. Columns are in the order of the table's declaration.
type Row struct {
	Table   string
	Key     string // unique within (table, document); "" for the one row of a table without `for`
	Columns []Value
}

// Fingerprint hashes the row's key and columns, never its lineage.
func (r Row) Fingerprint() Fingerprint {
	columns := Value{kind: List, c: &compound{items: r.Columns}}
	return FingerprintOfList(StringOf(r.Key), columns)
}

// RowID is a row's identity.
type RowID struct{ Table, Document, Key string }

// RowWrite is one write of a row to a target, as read from the rows topic.
type RowWrite struct {
	RowID
	Version Version
	Delete  bool
	Columns []Value // in the order of the table's declaration; nil with Delete
	Lineage []byte  // JSON; nil with Delete
}

// Unit is all the row writes that one change of a document caused, across tables, in order. It is applied whole.
type Unit struct {
	Document string
	Rows     []RowWrite
}
