// Package guard is the protocol of targets without transactions: what a vector store, a search index or a key-value store
// needs to offer (Store), and a stream.Sink on top of it.
//
// A batch is checked, written and noted. The partition's place {topic, generation, next offset, epoch} is a document of
// the target that is only ever swapped. A writer first sees that the place still carries its epoch and the batch's
// offset; then it puts the last write of every row, in order, a bounded number at a time, repeating those items that
// failed before it goes on; then it swaps the place to the next offset. Killed anywhere in between, its successor reads
// the same records again.
//
// Invariants upheld (DESIGN.md, section 3): the next offset moves after the rows, never before them (1). A put loses to
// the version held when that is newer, whoever sends it (3). A stale writer is refused by its epoch before each request
// sequence, and one that was stopped in between can only repeat what the log says: every version that it carries is of a
// record, so it loses to a newer one, and a deleted row has left a tombstone to lose to (4). Tombstones are collected when
// they are older than Options.TombstoneAge, which must exceed the life of a stale request: a writer looks at its epoch
// again after Options.Patience, so what is left is the time that a process, its host or the network can hold back one
// request that was about to be sent. An hour is far above any of these that does not break the connection. A store that compares
// Item.Place in one step with the write leaves a stale request no moment at all. Units become visible row by row, in order (5).
//
// Guards. With Options.ByBatch all items of a batch carry one condition, "the version held is at most the batch's last",
// for targets whose conditional put takes one filter for a whole request. That is exact too: the batch holds the last
// write of each row among all records of [a, b], so if the version held lies in [a, b], the batch's own is that one or a
// newer one. The epoch decides between equal versions, so that a stale writer can't take away the mark by which a rebuild
// knows what it has seen.
package guard

import (
	"context"
	"crypto/rand"
	"errors"
	"sync"
	"time"

	"github.com/freshet-dev/freshet/stream"
)

// Options adjust the protocol to a kind of target. The zero value of each gives its default.
type Options struct {
	ByBatch      bool // one condition for all items of a batch, see the package comment
	Chunk        int  // rows in one put; default 256
	ChunkBytes   int  // encoded size of one put, unless a single row exceeds it; default 4 MiB
	TombstoneAge time.Duration
	Patience     time.Duration // after which a writer makes sure of its epoch again; default 10 s
	Wait         time.Duration // before what failed is put again; doubled each time; default 5 ms
	Now          func() time.Time
}

// DefaultTombstoneAge keeps tombstones well above the life of any stale request.
const DefaultTombstoneAge = time.Hour

func (o Options) withDefaults() Options {
	if o.Chunk == 0 {
		o.Chunk = 256
	}
	if o.ChunkBytes == 0 {
		o.ChunkBytes = 4 << 20
	}
	if o.TombstoneAge == 0 {
		o.TombstoneAge = DefaultTombstoneAge
	}
	if o.Patience == 0 {
		o.Patience = 10 * time.Second
	}
	if o.Wait == 0 {
		o.Wait = 5 * time.Millisecond
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// Sink keeps a Store in step.
type Sink struct {
	Options
	store        Store
	tables       []Table
	byName       map[string]*Table
	owner        string // tells this sink's swaps from others'
	flow, target string

	mu    sync.Mutex
	held  map[int32]*tenure
	swept map[int32]time.Time // by partition: when tombstones were last collected
}

// tenure is what this writer knows of a partition that it took.
type tenure struct {
	epoch    int64
	proposed int64 // an epoch of ours whose swap has an unknown outcome
	unknown  *span // a step whose outcome is not known
}

// span is a step from one offset to the next.
type span struct {
	kind     step
	from, to int64
}

type step uint8

const (
	apply step = iota
	stage
	finish // of a rebuild
)

var (
	_ stream.Sink   = (*Sink)(nil)
	_ stream.Reader = (*Sink)(nil)
)

// New returns a sink over a store, which it opens and closes. It does no I/O.
func New(store Store, tables []Table, o Options) (*Sink, error) {
	s := &Sink{Options: o.withDefaults(), store: store, tables: tables, byName: map[string]*Table{}, owner: rand.Text(),
		held: map[int32]*tenure{}, swept: map[int32]time.Time{}}
	taken := map[string]string{}
	for i, t := range tables {
		if other, found := taken[t.As]; found {
			return nil, stream.Errorf(stream.Usage, "configure a target", "tables %s and %s would both be kept in %q; give one of them "+
				"another name by its setting `table`", other, t.Name, t.As)
		}
		taken[t.As] = t.Name
		s.byName[t.Name] = &tables[i]
	}
	return s, nil
}

// Close ends the store's connections.
func (s *Sink) Close() error { return s.store.Close() }

// Release forgets the partition; its epoch stays in the target. See stream.Sink.
func (s *Sink) Release(partition int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.held, partition)
}

// ReadRows reads a table back, if the store can be read. See stream.Reader.
func (s *Sink) ReadRows(ctx context.Context, table string, each func(stream.RowWrite) error) error {
	r, ok := s.store.(Reader)
	t := s.byName[table]
	if !ok || t == nil {
		return stream.Errorf(stream.Usage, s.op("read"), "table %s can't be read back", table)
	}
	return r.Read(ctx, t.As, func(i Item) error {
		i.Table = table
		return each(i.RowWrite)
	})
}

// op says what is being done, for errors.
func (s *Sink) op(doing string) string { return doing + " target " + s.target }

// said gives an error of the store its context, and keeps its class.
func (s *Sink) said(doing string, err error) error {
	var own *stream.Error
	if err == nil || errors.As(err, &own) && own.Op == s.op(doing) {
		return err
	}
	return &stream.Error{Op: s.op(doing), Kind: stream.KindOf(err), Err: err}
}

func (s *Sink) lost(doing string, partition int32) error {
	return stream.Errorf(stream.Fenced, s.op(doing), "partition %d is not this writer's, or the batch does not follow what is applied", partition)
}
