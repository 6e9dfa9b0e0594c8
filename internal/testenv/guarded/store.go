// Package guarded is a target without transactions for tests: conditional puts, bulk requests of which some items may
// fail, lost answers, and whatever else Faults say. It lives in memory, in this process (simulations in virtual time) or in
// one of its own (package serve) that keeps it in a log and may be killed at any time.
//
// A mutation is in the log, synced, before its answer is given. An item is taken as sinks/guard says, never otherwise.
package guarded

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/freshet-dev/freshet/sinks/guard"
	"github.com/freshet-dev/freshet/stream"
)

// Store is the target itself.
type Store struct {
	mu     sync.Mutex
	state  state
	log    *journal // nil: in memory only
	faults func(Call) Fault
}

// state is all that a store holds; exported fields, since a backup is its encoding.
type state struct {
	Sequence  int64
	Documents map[string]guard.Document
	Tables    map[string]*table
}

type table struct {
	Columns []string
	Rows    map[string]row // by document and key
}

// row is the last item taken.
type row struct {
	Document, Key string
	Version       int64
	Deleted       bool
	Columns       []stream.Value
	Lineage       []byte
	Partition     int32
	Epoch         int64
	At            int64 // Unix milliseconds
}

// NewStore returns an empty store in memory.
func NewStore() *Store { return &Store{state: newState()} }

func newState() state {
	return state{Documents: map[string]guard.Document{}, Tables: map[string]*table{}}
}

// Inject has faults asked before every call; nil ends that. It is called concurrently.
func (s *Store) Inject(faults func(Call) Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = faults
}

// Tombstones counts those of a table.
func (s *Store) Tombstones(table string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, r := range s.state.Tables[table].Rows {
		if r.Deleted {
			n++
		}
	}
	return n
}

// Do carries a call out, with the faults that were injected.
func (s *Store) Do(ctx context.Context, c Call) Answer {
	s.mu.Lock()
	faults := s.faults
	s.mu.Unlock()
	var f Fault
	if faults != nil {
		f = faults(c)
	}
	if f.Delay > 0 {
		timer := time.NewTimer(f.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return failure(stream.Transient, "no answer in time")
		}
	}
	if f.Refuse != "" {
		return failure(stream.Transient, f.Refuse)
	}
	a := s.carryOut(c, f.FailItems)
	if f.LoseAnswer {
		return failure(stream.Transient, "the connection broke before the answer")
	}
	return a
}

// carryOut does what is to be done to the items that don't fail, and logs it.
func (s *Store) carryOut(c Call, failItems func(n int) bool) Answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	failed := map[int]bool{}
	if c.Op == OpPut && failItems != nil {
		kept := make([]Item, 0, len(c.Items))
		for n, i := range c.Items {
			if failItems(n) {
				failed[n] = true
			} else {
				kept = append(kept, i)
			}
		}
		c.Items = kept
	}
	if c.changes() {
		if err := s.log.append(c); err != nil {
			return failure(stream.Transient, err.Error())
		}
	}
	a := s.state.do(c)
	for n := range failed {
		a.Failed = append(a.Failed, n)
	}
	slices.Sort(a.Failed)
	return a
}

// do is what a call does, and nothing else: replaying a log of calls gives the same state.
func (s *state) do(c Call) Answer {
	switch c.Op {
	case OpPut:
		return s.put(c)
	case OpScan, OpCollect, OpRead:
		return s.look(c)
	case OpGet:
		return Answer{Documents: []guard.Document{s.document(c.Document.Key)}}
	case OpSwap:
		return s.swap(c.Document)
	case OpList:
		return s.list(c.Document.Key)
	case OpShape:
		t := s.Tables[c.Table]
		if t == nil {
			return Answer{}
		}
		return Answer{Shape: strings.Join(t.Columns, ", "), Exists: true}
	case OpCreate:
		if s.Tables[c.Table] == nil {
			s.Tables[c.Table] = &table{Columns: c.Columns, Rows: map[string]row{}}
		}
	case OpDrop:
		delete(s.Tables, c.Table)
	case OpAlter:
		return s.alter(c)
	case OpBackup:
		b, err := stream.Marshal(s)
		if err != nil {
			return failure(stream.Internal, err.Error())
		}
		return Answer{Backup: b}
	case OpRestore:
		back := newState()
		if err := stream.Unmarshal(c.Backup, &back); err != nil {
			return failure(stream.Internal, err.Error())
		}
		back.Sequence = max(back.Sequence, s.Sequence) // sequences are never given twice
		*s = back
	default:
		return failure(stream.Internal, fmt.Sprintf("unknown operation %q", c.Op))
	}
	return Answer{}
}

func (s *state) put(c Call) Answer {
	t := s.Tables[c.Table]
	if t == nil {
		return failure(stream.Transient, "there is no table "+c.Table)
	}
	for _, i := range c.Items {
		id := rowKey(i.Row.Document, i.Row.Key)
		if held, ok := t.Rows[id]; !ok || held.Version < i.Over || held.Version <= i.Bound && held.Epoch <= i.Row.Epoch {
			t.Rows[id] = i.Row
		}
	}
	return Answer{}
}

// alter does what a person does by hand.
func (s *state) alter(c Call) Answer {
	t := s.Tables[c.Table]
	if t == nil {
		return failure(stream.Usage, "there is no table "+c.Table)
	}
	t.Columns = append(t.Columns, c.Columns...)
	for _, i := range c.Items {
		id := rowKey(i.Row.Document, i.Row.Key)
		r, ok := t.Rows[id]
		if !ok || c.Limit >= len(r.Columns) {
			return failure(stream.Usage, "there is no such value")
		}
		r.Columns = slices.Clone(r.Columns)
		r.Columns[c.Limit] = i.Row.Columns[0]
		t.Rows[id] = r
	}
	return Answer{}
}

func rowKey(document, key string) string { return fmt.Sprintf("%d %s%s", len(document), document, key) }

// look goes through the rows of a table that a call selects, in order.
func (s *state) look(c Call) Answer {
	t := s.Tables[c.Table]
	if t == nil {
		return failure(stream.Transient, "there is no table "+c.Table)
	}
	var a Answer
	for id, r := range t.Rows {
		if r.Deleted != (c.Op == OpCollect) || c.Op != OpRead && !c.Range.has(r) {
			continue
		}
		if c.Op == OpCollect {
			if r.At < c.Before {
				delete(t.Rows, id)
			}
			continue
		}
		a.Rows = append(a.Rows, r)
	}
	slices.SortFunc(a.Rows, func(x, y row) int {
		return cmp.Or(cmp.Compare(x.Document, y.Document), cmp.Compare(x.Key, y.Key))
	})
	if c.Op == OpScan && len(a.Rows) > c.Limit {
		a.Rows = a.Rows[:c.Limit]
	}
	return a
}

func (s *state) document(key string) guard.Document {
	if d, ok := s.Documents[key]; ok {
		return d
	}
	return guard.Document{Key: key}
}

func (s *state) swap(d guard.Document) Answer {
	if s.document(d.Key).Sequence != d.Sequence {
		return Answer{Conflict: true}
	}
	s.Sequence++
	d.Sequence = s.Sequence
	s.Documents[d.Key] = d
	return Answer{Documents: []guard.Document{d}}
}

func (s *state) list(prefix string) Answer {
	var a Answer
	for _, key := range slices.Sorted(maps.Keys(s.Documents)) {
		if strings.HasPrefix(key, prefix) {
			a.Documents = append(a.Documents, s.Documents[key])
		}
	}
	return a
}
