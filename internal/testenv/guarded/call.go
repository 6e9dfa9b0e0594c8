package guarded

import (
	"slices"
	"time"

	"github.com/freshet-dev/freshet/sinks/guard"
	"github.com/freshet-dev/freshet/stream"
)

// Op names an operation of the store.
type Op string

// Operations: those of guard.Store, and what people and time do to a target.
const (
	OpPut     Op = "put"
	OpScan    Op = "scan"
	OpCollect Op = "collect"
	OpRead    Op = "read"
	OpGet     Op = "get"
	OpSwap    Op = "swap"
	OpList    Op = "list"
	OpShape   Op = "shape"
	OpCreate  Op = "create"
	OpDrop    Op = "drop"
	OpAlter   Op = "alter" // adds columns, or with Items overwrites rows regardless of their versions
	OpBackup  Op = "backup"
	OpRestore Op = "restore"
	OpPlan    Op = "plan" // of a server: the faults to come
)

// Call is one request.
type Call struct {
	Op       Op
	Table    string         `cbor:",omitempty"`
	Items    []Item         `cbor:",omitempty"`
	Range    Range          `cbor:",omitzero"`
	Limit    int            `cbor:",omitempty"`
	Before   int64          `cbor:",omitempty"` // Unix milliseconds
	Document guard.Document `cbor:",omitzero"`
	Columns  []string       `cbor:",omitempty"`
	Backup   []byte         `cbor:",omitempty"`
	Plan     *Plan          `cbor:",omitempty"`
}

// changes reports whether the call may alter the store.
func (c *Call) changes() bool {
	return slices.Contains([]Op{OpPut, OpCollect, OpSwap, OpCreate, OpDrop, OpAlter, OpRestore}, c.Op)
}

// Partition returns the partition that a put or a scan concerns; -1 when the call does not say.
func (c *Call) Partition() int32 {
	switch {
	case len(c.Items) > 0:
		return c.Items[0].Row.Partition
	case c.Op == OpScan || c.Op == OpCollect:
		return c.Range.Partition
	}
	return -1
}

// Item is guard.Item on the wire and in the log.
type Item struct {
	Row         row
	Over, Bound int64
}

// Range is guard.Range on the wire and in the log.
type Range struct {
	Partition, Modulo  int32
	From, Below, Epoch int64
}

func (in Range) has(r row) bool {
	partition := r.Partition
	if in.Modulo > 0 {
		partition %= in.Modulo
	}
	return partition == in.Partition && r.Version >= in.From && r.Version < in.Below && (in.Epoch == 0 || r.Epoch < in.Epoch)
}

func wireRange(in guard.Range) Range {
	return Range{in.Partition, in.Modulo, in.From.Pack(), in.Below.Pack(), in.Epoch}
}

// Answer is what a call gives.
type Answer struct {
	Kind      uint8            `cbor:",omitempty"` // of the error
	Error     string           `cbor:",omitempty"`
	Failed    []int            `cbor:",omitempty"` // items of a put that failed
	Conflict  bool             `cbor:",omitempty"`
	Documents []guard.Document `cbor:",omitempty"`
	Rows      []row            `cbor:",omitempty"`
	Shape     string           `cbor:",omitempty"`
	Exists    bool             `cbor:",omitempty"`
	Backup    []byte           `cbor:",omitempty"`
}

func failure(kind stream.ErrorKind, text string) Answer {
	return Answer{Kind: uint8(kind), Error: text}
}

// err is the answer as an error, nil when all went well.
func (a Answer) err(op Op) error {
	switch {
	case a.Error != "":
		return stream.Errorf(stream.ErrorKind(a.Kind), "guarded store: "+string(op), "%s", a.Error)
	case a.Conflict:
		return guard.ErrConflict
	case len(a.Failed) > 0:
		failed := map[int]error{}
		for _, n := range a.Failed {
			failed[n] = stream.Errorf(stream.Transient, "guarded store: "+string(op), "the item was refused this time")
		}
		return &stream.BatchError{Failed: failed}
	}
	return nil
}

// Fault is what befalls one call, in this order. The zero Fault is none.
type Fault struct {
	Delay      time.Duration
	Refuse     string           // nothing is done; the reason, e.g. "read only"
	FailItems  func(n int) bool // of a put: items that are not taken while the others are
	LoseAnswer bool             // it is done, and nobody hears of it
}
