package guard

import (
	"context"
	"errors"
	"time"

	"github.com/freshet-dev/freshet/stream"
)

// Item is one conditional write of a row. A store takes it if it holds nothing under the row's identity, or holds a
// version below Over, or a version up to Bound whose epoch is not above Epoch. Otherwise the item has lost to a newer
// write and nothing happens, which is no failure.
//
// With Delete a versioned tombstone is written: the row is gone for readers, and older writes still lose to it.
type Item struct {
	stream.RowWrite
	Partition   int32
	Epoch       int64 // of the writer; rising over all writers of a row
	Over, Bound stream.Version
	At          time.Time // when it was written, by the writer's clock: the age of a tombstone
	Place       Mark      `cbor:"-"`
}

// Mark is a document as a writer saw it. An item carries that of its partition's place: a store that can compare it in one step
// with the write refuses the put, with kind Fenced, when the place has another sequence by now; then a stale writer changes nothing at all.
// Other stores leave it aside: what a stale writer puts loses to newer rows and to tombstones.
type Mark struct {
	Key      string
	Sequence int64
}

// Beats reports whether the item is taken where held lies, a row or its tombstone.
func (i Item) Beats(held Item) bool {
	return held.Version.Before(i.Over) || !i.Bound.Before(held.Version) && held.Epoch <= i.Epoch
}

// Held is what Scan says of a row.
type Held struct {
	stream.RowID
	Version stream.Version
}

// Range selects rows, tombstones aside, of the partitions that equal Partition modulo Modulo (0: that one partition), with
// From <= version < Below and, unless it is 0, an epoch below Epoch.
type Range struct {
	Partition, Modulo int32
	From, Below       stream.Version
	Epoch             int64
}

// Has reports whether a row, or a tombstone, lies in the range.
func (in Range) Has(held Item) bool {
	partition := held.Partition
	if in.Modulo > 0 {
		partition %= in.Modulo
	}
	return partition == in.Partition && !held.Version.Before(in.From) && held.Version.Before(in.Below) && (in.Epoch == 0 || held.Epoch < in.Epoch)
}

// Rows is the part of a target that holds rows. Tables go by the names of Table.As.
type Rows interface {
	// Put writes items of one table. A *stream.BatchError names the items that failed, by index, while the others are
	// done; with any other error nothing is known of any. Errors are classed as stream.Sink says.
	Put(ctx context.Context, table string, items []Item) error
	// Scan returns up to limit rows of a range, in any order. A row that was put before is seen.
	Scan(ctx context.Context, table string, in Range, limit int) ([]Held, error)
	// Collect removes the tombstones of a range that were written before a time, for good.
	Collect(ctx context.Context, table string, in Range, before time.Time) error
}

// Document is a piece of bookkeeping. Sequence is 0 when there is none, and changes with each Swap.
type Document struct {
	Key      string
	Body     []byte
	Sequence int64
}

// ErrConflict is returned by Swap when the document is not as it was read.
var ErrConflict = errors.New("the document has changed")

// Documents is the part of a target that holds bookkeeping.
type Documents interface {
	// Get returns the document of a key; one with sequence 0 when there is none.
	Get(ctx context.Context, key string) (Document, error)
	// Swap replaces the document if its sequence is still held's, else it returns ErrConflict. It is durable.
	Swap(ctx context.Context, held Document, body []byte) (Document, error)
	// List returns the documents whose key starts with prefix.
	List(ctx context.Context, prefix string) ([]Document, error)
}

// Tables is the part of a target that makes tables (collections, indexes, key spaces).
type Tables interface {
	// Shape describes a table as the target holds it, so that an alteration by hand changes the text.
	Shape(ctx context.Context, table string) (shape string, exists bool, err error)
	// Create makes a table that is absent; one that exists stays as it is.
	Create(ctx context.Context, table Table) error
	// Drop removes a table if it exists; it may be one that is declared no more.
	Drop(ctx context.Context, table string) error
}

// Store is a target. All methods may be called concurrently.
type Store interface {
	Rows
	Documents
	Tables
	// Open connects; repeatable.
	Open(ctx context.Context) error
	Close() error
}

// Reader is a Store that can be read back: rows of a table, tombstones aside, in order of (document, key).
type Reader interface {
	Read(ctx context.Context, table string, each func(Item) error) error
}

// Table is a table and the name that it goes by in the target.
type Table struct {
	stream.Table
	As     string
	Front  string // of an edition: the name that shows it or another, where the store has Fronts
	Layout string // what else makes it another table when it changes, such as how its vectors are compared
}
