//go:build synctests

package sim

import (
	"context"
	"fmt"
	"maps"
	"sync"

	"github.com/freshet-dev/freshet/stream"
)

// table is a transactional target in memory: rows and offset in one transaction, an epoch per partition. It outlives
// processes; its eye looks after every transaction, as a reader that polls all the time would.
type table struct {
	mu     sync.Mutex
	name   string
	parts  map[int32]*tablePart
	faults []string
	model  *model
	backup *table
}

type tablePart struct {
	applied stream.Applied
	epoch   int
	rows    map[stream.RowID]stream.RowWrite
	stage   map[stream.RowID]stream.RowWrite
	eye     *eye
	old     bool // rows of an older generation are still there
}

func newTable(name string, m *model) *table {
	return &table{name: name, model: m, parts: map[int32]*tablePart{}}
}

func (t *table) part(p int32) *tablePart {
	if t.parts[p] == nil {
		t.parts[p] = &tablePart{rows: map[stream.RowID]stream.RowWrite{}, eye: newEye(t.model)}
	}
	return t.parts[p]
}

func (p *tablePart) clone() *tablePart {
	c := *p
	c.rows, c.stage, c.eye = maps.Clone(p.rows), maps.Clone(p.stage), p.eye.clone()
	if p.applied.Rebuild != nil {
		r := *p.applied.Rebuild
		c.applied.Rebuild = &r
	}
	return &c
}

// keep takes a backup; restore brings it back.
func (t *table) keep() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.backup = &table{parts: map[int32]*tablePart{}}
	for id, p := range t.parts {
		t.backup.parts[id] = p.clone()
	}
}

func (t *table) restore() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.backup == nil {
		return false
	}
	t.parts = map[int32]*tablePart{}
	for id, p := range t.backup.parts {
		t.parts[id] = p.clone()
	}
	return true
}

func (t *table) fault(format string, args ...any) {
	t.faults = append(t.faults, "target "+t.name+": "+fmt.Sprintf(format, args...))
}

// next returns the stored offset of every partition; a rebuild under way counts as behind.
func (t *table) next() map[int32]int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := map[int32]int64{}
	for id, p := range t.parts {
		if p.applied.Rebuild == nil {
			out[id] = p.applied.Next
		}
	}
	return out
}

// rows returns what a reader of the whole target sees: document → key → text.
func (t *table) all() map[string]map[string]string {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := map[string]map[string]string{}
	for _, p := range t.parts {
		for id, w := range p.rows {
			if w.Delete {
				continue
			}
			if out[id.Document] == nil {
				out[id.Document] = map[string]string{}
			}
			out[id.Document][id.Key] = w.Columns[0].Str()
		}
	}
	return out
}

// tableSink is a process's connection to a table.
type tableSink struct {
	t      *table
	mu     sync.Mutex
	epochs map[int32]int
}

func (t *table) title() string { return t.name }

func (t *table) sink(*process) stream.Sink { return &tableSink{t: t, epochs: map[int32]int{}} }

func (t *table) problems() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.faults
}

// seize takes a partition as another writer would (S14).
func (t *table) seize(p int32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.part(p).epoch++
}

func (*tableSink) Open(context.Context, string, string) ([]string, error) { return nil, nil }
func (*tableSink) Recreate(context.Context, []string) error               { return nil }
func (*tableSink) Release(int32)                                          {}
func (*tableSink) Close() error                                           { return nil }

// held returns the partition, unless another writer took it (invariant 4). Locked.
func (s *tableSink) held(p int32) (*tablePart, error) {
	s.mu.Lock()
	epoch, ok := s.epochs[p]
	s.mu.Unlock()
	part := s.t.part(p)
	if !ok || epoch != part.epoch {
		return nil, stream.Errorf(stream.Fenced, "write partition", "it is held under epoch %d, this writer has %d", part.epoch, epoch)
	}
	return part, nil
}

func (s *tableSink) Assign(_ context.Context, p int32, _ stream.Origin) (stream.Applied, error) {
	s.t.mu.Lock()
	defer s.t.mu.Unlock()
	part := s.t.part(p)
	part.epoch++
	s.mu.Lock()
	s.epochs[p] = part.epoch
	s.mu.Unlock()
	a := part.applied
	if a.Rebuild != nil {
		r := *a.Rebuild
		a.Rebuild = &r
	}
	return a, nil
}

func (s *tableSink) Adopt(_ context.Context, p int32, o stream.Origin, next int64) error {
	s.t.mu.Lock()
	defer s.t.mu.Unlock()
	part, err := s.held(p)
	if err != nil {
		return err
	}
	part.old = part.applied.TopicID != ""
	part.applied = stream.Applied{TopicID: o.TopicID, Generation: o.Generation, Next: next}
	clear(part.eye.at)
	return nil
}

func (s *tableSink) Apply(_ context.Context, b stream.Batch) error {
	s.t.mu.Lock()
	defer s.t.mu.Unlock()
	part, err := s.held(b.Partition)
	if err != nil {
		return err
	}
	if part.applied.Next != b.From {
		return stream.Errorf(stream.Fenced, "apply", "next is %d, the batch begins at %d", part.applied.Next, b.From)
	}
	s.t.put(part, part.rows, b)
	part.applied.Next = b.To
	s.t.watch(part, b)
	return nil
}

// put writes a batch's rows; a version below the one held has no effect (invariant 3).
func (t *table) put(part *tablePart, rows map[stream.RowID]stream.RowWrite, b stream.Batch) {
	for _, u := range b.Units {
		for _, w := range u.Rows {
			if w.Version.Offset < b.From || w.Version.Offset >= b.To || w.Version.Generation != part.applied.Generation {
				t.fault("version %s outside the batch [%d, %d)", w.Version, b.From, b.To)
			}
			if w.Document != u.Document {
				t.fault("row of %s in a unit of %s", w.Document, u.Document)
			}
			if old, ok := rows[w.RowID]; !ok || !w.Version.Before(old.Version) {
				rows[w.RowID] = w
			}
		}
	}
}

// watch looks at the documents that a transaction wrote. While rows of an older generation are there, a document may be
// half of one and half of the other.
func (t *table) watch(part *tablePart, b stream.Batch) {
	docs := map[string]bool{}
	for _, u := range b.Units {
		docs[u.Document] = true
	}
	for doc := range docs {
		part.see(doc)
		if part.old {
			continue
		}
		if err := part.eye.look(doc, false); err != nil {
			t.fault("partition %d after [%d, %d): %v", b.Partition, b.From, b.To, err)
		}
	}
}

// see takes a document's rows as they are now.
func (p *tablePart) see(doc string) {
	rows := map[string]string{}
	for id, w := range p.rows {
		if id.Document == doc && !w.Delete {
			rows[id.Key] = w.Columns[0].Str()
		}
	}
	p.eye.rows[doc] = rows
}

func (s *tableSink) StartRebuild(_ context.Context, p int32, end int64) error {
	s.t.mu.Lock()
	defer s.t.mu.Unlock()
	part, err := s.held(p)
	if err != nil {
		return err
	}
	part.stage = map[stream.RowID]stream.RowWrite{}
	part.applied.Rebuild = &stream.Rebuild{End: end}
	return nil
}

func (s *tableSink) Stage(_ context.Context, b stream.Batch) error {
	s.t.mu.Lock()
	defer s.t.mu.Unlock()
	part, err := s.held(b.Partition)
	if err != nil {
		return err
	}
	r := part.applied.Rebuild
	if r == nil || r.Next != b.From || b.To > r.End {
		return stream.Errorf(stream.Fenced, "stage", "no rebuild goes on at [%d, %d): %+v", b.From, b.To, r)
	}
	s.t.put(part, part.stage, b)
	r.Next = b.To
	return nil
}

func (s *tableSink) Switch(_ context.Context, p int32, end int64) error {
	s.t.mu.Lock()
	defer s.t.mu.Unlock()
	part, err := s.held(p)
	if err != nil {
		return err
	}
	docs := map[string]bool{}
	for id, w := range part.rows {
		docs[id.Document] = true
		if w.Version.Offset >= end && w.Version.Generation == part.applied.Generation {
			part.stage[id] = w
		}
	}
	for id := range part.stage {
		docs[id.Document] = true
	}
	part.rows, part.stage, part.applied.Rebuild, part.old = part.stage, nil, nil, false
	part.applied.Next = max(part.applied.Next, end)
	for doc := range docs {
		part.see(doc)
		if err := part.eye.look(doc, false); err != nil {
			s.t.fault("partition %d after a rebuild to %d: %v", p, end, err)
		}
	}
	return nil
}

func (s *tableSink) Sweep(_ context.Context, p, partitions int32, before stream.Version) error {
	s.t.mu.Lock()
	defer s.t.mu.Unlock()
	if _, err := s.held(p); err != nil {
		return err
	}
	for id, part := range s.t.parts {
		if id%partitions != p {
			continue
		}
		docs := map[string]bool{}
		for id, w := range part.rows {
			if w.Version.Before(before) {
				docs[id.Document] = true
				delete(part.rows, id)
			}
		}
		part.old = part.old && id != p
		for doc := range docs {
			part.see(doc)
		}
	}
	return nil
}
