package kafka_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/freshet-dev/freshet/stream"
)

// shelf is a target in memory. It keeps the contract of stream.Sink, and notes where its caller does not.
type shelf struct {
	mu     sync.Mutex
	parts  map[int32]*shelved
	epochs map[int32]int // of the writer, which takes a partition under a new one
	faults []string
	// before is called ahead of each write, outside the lock; its error is the write's. It may be set between processes.
	before func(method string, b stream.Batch) error
	calls  []string // Adopt, StartRebuild, Switch and Sweep, as they came
}

// shelved is one partition of a shelf.
type shelved struct {
	applied stream.Applied
	epoch   int
	rows    map[stream.RowID]stream.RowWrite // deleted ones too
	stage   map[stream.RowID]stream.RowWrite
}

func newShelf() *shelf { return &shelf{parts: map[int32]*shelved{}, epochs: map[int32]int{}} }

func (s *shelf) Open(context.Context, string, string) ([]string, error) { return nil, nil }
func (s *shelf) Recreate(context.Context, []string) error               { return nil }
func (s *shelf) Release(int32)                                          {}
func (s *shelf) Close() error                                           { return nil }

func (s *shelf) part(p int32) *shelved {
	if s.parts[p] == nil {
		s.parts[p] = &shelved{rows: map[stream.RowID]stream.RowWrite{}}
	}
	return s.parts[p]
}

func (s *shelf) note(format string, args ...any) {
	s.calls = append(s.calls, fmt.Sprintf(format, args...))
}

func (s *shelf) Assign(_ context.Context, p int32, _ stream.Origin) (stream.Applied, error) {
	if err := s.hook("assign", stream.Batch{Partition: p}); err != nil {
		return stream.Applied{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.part(p).epoch++
	s.epochs[p] = s.part(p).epoch
	a := s.part(p).applied
	if a.Rebuild != nil {
		r := *a.Rebuild
		a.Rebuild = &r
	}
	return a, nil
}

func (s *shelf) Adopt(_ context.Context, p int32, o stream.Origin, next int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.note("adopt %d generation %d next %d", p, o.Generation, next)
	s.part(p).applied = stream.Applied{TopicID: o.TopicID, Generation: o.Generation, Next: next}
	return nil
}

func (s *shelf) hook(method string, b stream.Batch) error {
	if s.before == nil {
		return nil
	}
	return s.before(method, b)
}

func (s *shelf) Apply(_ context.Context, b stream.Batch) error {
	if err := s.hook("apply", b); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	part := s.part(b.Partition)
	if part.applied.Next != b.From || part.epoch != s.epochs[b.Partition] {
		return stream.Errorf(stream.Fenced, "apply", "next is %d in epoch %d, the batch begins at %d", part.applied.Next, part.epoch, b.From)
	}
	s.put(part.rows, b)
	part.applied.Next = b.To
	return nil
}

// put writes a batch's rows; a version below the one held has no effect.
func (s *shelf) put(rows map[stream.RowID]stream.RowWrite, b stream.Batch) {
	for _, u := range b.Units {
		for _, w := range u.Rows {
			if w.Version.Offset < b.From || w.Version.Offset >= b.To {
				s.faults = append(s.faults, fmt.Sprintf("version %s outside the batch [%d, %d)", w.Version, b.From, b.To))
			}
			if w.Document != u.Document {
				s.faults = append(s.faults, fmt.Sprintf("row of %s in a unit of %s", w.Document, u.Document))
			}
			if old, ok := rows[w.RowID]; ok && w.Version.Before(old.Version) {
				continue
			}
			rows[w.RowID] = w
		}
	}
}

func (s *shelf) StartRebuild(_ context.Context, p int32, end int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.note("rebuild %d to %d", p, end)
	part := s.part(p)
	part.stage = map[stream.RowID]stream.RowWrite{}
	part.applied.Rebuild = &stream.Rebuild{End: end}
	return nil
}

func (s *shelf) Stage(_ context.Context, b stream.Batch) error {
	if err := s.hook("stage", b); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	part := s.part(b.Partition)
	r := part.applied.Rebuild
	if r == nil || r.Next != b.From || b.To > r.End {
		s.faults = append(s.faults, fmt.Sprintf("staged [%d, %d) of partition %d in rebuild %+v", b.From, b.To, b.Partition, r))
		return stream.Errorf(stream.Fenced, "stage", "no such rebuild")
	}
	s.put(part.stage, b)
	r.Next = b.To
	return nil
}

func (s *shelf) Switch(_ context.Context, p int32, end int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.note("switch %d at %d", p, end)
	part := s.part(p)
	for id, w := range part.rows {
		_, staged := part.stage[id]
		if w.Version.Generation < part.applied.Generation && !staged || w.Version.Offset >= end && w.Version.Generation == part.applied.Generation {
			part.stage[id] = w
		}
	}
	part.rows, part.stage, part.applied.Rebuild = part.stage, nil, nil
	part.applied.Next = max(part.applied.Next, end)
	return nil
}

func (s *shelf) Sweep(_ context.Context, p, partitions int32, before stream.Version) error {
	if err := s.hook("sweep", stream.Batch{Partition: p}); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.note("sweep %d below %s", p, before)
	for q, part := range s.parts {
		if q%partitions == p {
			maps.DeleteFunc(part.rows, func(id stream.RowID, w stream.RowWrite) bool {
				_, staged := s.part(p).stage[id]
				return w.Version.Before(before) && !staged
			})
		}
	}
	return nil
}

// list returns the rows that are there, "document text", in order.
func (s *shelf) list() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, part := range s.parts {
		for id, w := range part.rows {
			if !w.Delete {
				out = append(out, id.Document+" "+w.Columns[0].Str())
			}
		}
	}
	slices.Sort(out)
	return strings.Join(out, "\n")
}

// called returns the calls that begin with prefix, sorted.
func (s *shelf) called(prefix string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := slices.DeleteFunc(slices.Clone(s.calls), func(c string) bool { return !strings.HasPrefix(c, prefix) })
	slices.Sort(out)
	return out
}

// swept returns the sweeps that were called, once each.
func (s *shelf) swept() []string { return slices.Compact(s.called("sweep")) }

func (s *shelf) faulty() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.faults)
}

// versions returns the generations that the live rows were written in.
func (s *shelf) generations() (out []int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, part := range s.parts {
		for _, w := range part.rows {
			if !w.Delete && !slices.Contains(out, w.Version.Generation) {
				out = append(out, w.Version.Generation)
			}
		}
	}
	slices.Sort(out)
	return out
}
