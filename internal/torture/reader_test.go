package torture

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/freshet-dev/freshet/stream"
)

// reader polls a target throughout and remembers the highest version seen of each row, and how far each partition was.
type reader struct {
	view    target
	highest map[string]int64
	last    map[string]bool    // rows of the last poll
	back    map[string][]again // to be judged by the rows topic
	at      map[int32]int64
	polls   int
	faults  []string
}

// again says that a row was not there and then there again: its versions before and after. There must be a delete in between.
type again struct{ was, is int64 }

func newReader(v target) *reader {
	return &reader{view: v, highest: map[string]int64{}, last: map[string]bool{}, back: map[string][]again{}, at: map[int32]int64{}}
}

// poll reads everything. It finds a version or a stored offset that fell, rows that came back, and, in one snapshot, a document of which
// only a part is visible: rows of different revisions, or another number of chunks than its row says.
func (r *reader) poll(ctx context.Context) error {
	all, err := r.view.rows(ctx, false)
	if err != nil || all == nil {
		return r.excused(err)
	}
	r.polls++
	now := map[string]bool{}
	byDocument := map[string][]row{}
	for _, s := range all {
		byDocument[s.document] = append(byDocument[s.document], s)
		id := s.identity()
		now[id] = true
		if s.version < r.highest[id] {
			r.fault("%s fell from version %d to %d", id, r.highest[id], s.version)
		}
		if r.highest[id] > 0 && !r.last[id] {
			r.back[id] = append(r.back[id], again{r.highest[id], s.version})
		}
		r.highest[id] = max(r.highest[id], s.version)
	}
	r.last = now
	if r.view.whole() {
		for document, rows := range byDocument {
			r.whole(document, rows)
		}
	}
	return r.offsets(ctx)
}

// excused forgives what a killed server causes: it will be back.
func (r *reader) excused(err error) error {
	if _, ok := r.view.(server); ok && stream.KindOf(err) == stream.Transient {
		return nil
	}
	return err
}

func (r *reader) fault(format string, args ...any) {
	r.faults = append(r.faults, r.view.name()+": "+fmt.Sprintf(format, args...))
}

// judge finds rows that came back though nothing wrote them anew. deleted are the versions of all deletes of a row, in order.
func (r *reader) judge(deleted map[string][]int64) {
	for id, all := range r.back {
		for _, a := range all {
			if n, _ := slices.BinarySearch(deleted[id], a.was); n == len(deleted[id]) || deleted[id][n] > a.is {
				r.fault("%s was gone after version %d, and came back as version %d without a delete in between", id, a.was, a.is)
			}
		}
	}
}

// offsets finds one that fell.
func (r *reader) offsets(ctx context.Context) error {
	at, err := r.view.applied(ctx)
	if err != nil {
		return r.excused(err)
	}
	for p, was := range r.at {
		if at[p] < was {
			r.fault("partition %d fell from offset %d to %d", p, was, at[p])
		}
	}
	r.at = at
	return nil
}

func (r *reader) whole(document string, rows []row) {
	parts, chunks := int64(-1), int64(0)
	revs := map[int64]bool{}
	for _, s := range rows {
		revs[s.rev] = true
		if s.table == "docs" {
			parts = s.parts
		} else {
			chunks++
		}
	}
	if len(revs) != 1 || parts != chunks {
		r.fault("half of document %s is visible: revisions %v, %d chunks of %d", document, revs, chunks, parts)
	}
}

// background is what goes on beside the faults: changes are written, and readers poll.
type background struct {
	t       *testing.T
	load    *load
	readers []*reader
	calm    context.CancelFunc // ends the load
	end     context.CancelFunc // ends the readers
	writing sync.WaitGroup
	reading sync.WaitGroup
}

func (r *rig) begin(t *testing.T, l *load) *background {
	t.Helper()
	b := &background{t: t, load: l}
	var writing, reading context.Context
	writing, b.calm = context.WithCancel(t.Context())
	reading, b.end = context.WithCancel(t.Context())
	t.Cleanup(func() { b.calm(); b.end(); b.writing.Wait(); b.reading.Wait() })
	b.writing.Go(func() {
		if err := l.run(writing); err != nil {
			t.Errorf("writing changes: %v", err)
		}
	})
	for _, v := range r.targets {
		one := newReader(v)
		b.readers = append(b.readers, one)
		b.reading.Go(func() { b.read(reading, one) })
	}
	return b
}

// read polls all the time, but leaves the target three quarters of it.
func (b *background) read(ctx context.Context, r *reader) {
	for {
		begun := time.Now()
		if err := r.poll(ctx); err != nil && ctx.Err() == nil {
			b.t.Errorf("reading %s: %v", r.view.name(), err)
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(max(50*time.Millisecond, 3*time.Since(begun))):
		}
	}
}

// quiet ends the load; the readers go on.
func (b *background) quiet() {
	b.calm()
	b.writing.Wait()
}

// close ends the readers.
func (b *background) close() {
	b.end()
	b.reading.Wait()
}

// report says what the readers saw.
func (b *background) report(t *testing.T, deleted map[string][]int64) {
	t.Helper()
	for _, r := range b.readers {
		r.judge(deleted)
		for i, f := range r.faults {
			if i < 10 {
				t.Error(f)
			}
		}
		if r.polls == 0 {
			t.Errorf("the reader of %s saw nothing", r.view.name())
		}
		t.Logf("%d polls of %s, %d rows that came back", r.polls, r.view.name(), len(r.back))
	}
}
