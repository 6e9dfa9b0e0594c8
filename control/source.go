package control

import (
	"context"
	"errors"
	"time"

	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/engine"
)

// ErrNotHere says that this process does not have what was asked for; another replica may.
var ErrNotHere = errors.New("not in this process")

// Source is what a process tells of itself and lets others ask of it. All funcs are set and safe for concurrent use.
type Source struct {
	Status  func(ctx context.Context) Status // may ask Kafka for lags; what it can't learn stays unknown
	Loops   func() []Loop                    // those that run
	Missing func() []string                  // what has to come about before the process does its work, in words; none: it is ready
	Stores  Stores
	Search  func(ctx context.Context, q SearchQuery) (SearchResult, error)
	// Rebuild begins to rebuild those of the partitions, none named: all, that the process delivers; ErrNotHere when it does
	// not deliver to the target.
	Rebuild func(target string, partitions []int32) error
	// Forget deletes a document; ErrNotHere when the process does not hold it.
	Forget func(ctx context.Context, document string) (Forgotten, error)
	// Retry has documents evaluated again, of those that the process holds.
	Retry func(ctx context.Context, w Which) (Retried, error)
	// Drop gives up a quarantined document, or a record; ErrNotHere when the process does not hold it.
	Drop func(ctx context.Context, d Dropped) error
	// Shown reads a target back and counts the rows of a document; ErrNotHere when the process does not deliver to it.
	Shown func(ctx context.Context, target, document string) (rows int64, err error)
	// Derive explains a row; ErrNotHere when the process does not hold its document.
	Derive func(ctx context.Context, id stream.RowID) (Derivation, error)
	// Row reads the last record of a row from a partition of the rows topic, -1: from all; ErrNotHere when there is none.
	Row func(ctx context.Context, id stream.RowID, partition int32) (RowRecord, error)
	// Held reads a row, or those of a key, back from a target; ErrNotHere when the process does not deliver to it.
	Held func(ctx context.Context, q HeldQuery) (Held, error)
}

// Loop is a loop of the process: the processor's, or the delivery to a target.
type Loop struct {
	Name  string
	Still time.Duration // for how long it has neither turned nor waited for a broker or a target
}

// Stores gives access to the state that a process holds; see kafka.Processor.
type Stores interface {
	Held() []int32
	// Store returns a partition's state until release is called; false when it is not held.
	Store(partition int32) (s engine.Store, release func(), ok bool)
}

// NoStores are those of a process that processes nothing.
type NoStores struct{}

// Held implements Stores.
func (NoStores) Held() []int32 { return nil }

// Store implements Stores.
func (NoStores) Store(int32) (engine.Store, func(), bool) { return nil, nil, false }

// SearchQuery asks for the rows of a target that are nearest to a text.
type SearchQuery struct {
	Target string
	Table  string // "": the target's only one
	Column string // "": the table's only vector
	Text   string
	K      int
}

// SearchResult holds the nearest rows, nearest first.
type SearchResult struct {
	Target string `json:"target"`
	Table  string `json:"table"`
	Column string `json:"column"`
	Hits   []Hit  `json:"hits"`
}

// Hit is one row found.
type Hit struct {
	Document string           `json:"document"`
	Key      string           `json:"key"`
	Distance float64          `json:"distance"` // cosine distance, 0 is identical
	Version  string           `json:"version"`
	Columns  map[string]Value `json:"columns"` // those that are no vectors
}

// HitOf returns a hit as control tells it.
func HitOf(h stream.Hit) Hit {
	out := Hit{Document: h.Document, Key: h.Key, Distance: h.Distance, Version: h.Version.String(), Columns: map[string]Value{}}
	for _, c := range h.Columns {
		out.Columns[c.Key] = Value{c.Value}
	}
	return out
}
