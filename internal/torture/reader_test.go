package torture

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/freshet-dev/freshet/stream"
)

// reader polls a target throughout and remembers the highest version seen of each row.
type reader struct {
	view    view
	highest map[string]int64
	polls   int
	faults  []string
}

// poll reads everything in one snapshot. It finds a version that fell, and a document of which only a part is visible:
// rows of different revisions, or another number of chunks than its row says.
func (r *reader) poll(ctx context.Context) error {
	all, err := r.view.rows(ctx, false)
	if stream.KindOf(err) == stream.Transient && !r.view.whole() {
		return nil // its server was killed, and will be back
	}
	if err != nil || all == nil {
		return err
	}
	r.polls++
	byDocument := map[string][]row{}
	for _, s := range all {
		byDocument[s.document] = append(byDocument[s.document], s)
		if s.version < r.highest[s.identity()] {
			r.faults = append(r.faults, fmt.Sprintf("%s: %s fell from version %d to %d", r.view.name(), s.identity(), r.highest[s.identity()], s.version))
		}
		r.highest[s.identity()] = s.version
	}
	if r.view.whole() {
		for document, rows := range byDocument {
			r.whole(document, rows)
		}
	}
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
		r.faults = append(r.faults, fmt.Sprintf("%s: half of document %s is visible: revisions %v, %d chunks of %d", r.view.name(), document, revs, chunks, parts))
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
	for _, v := range r.views(t) {
		one := &reader{view: v, highest: map[string]int64{}}
		b.readers = append(b.readers, one)
		b.reading.Go(func() { b.read(reading, one) })
	}
	return b
}

func (b *background) read(ctx context.Context, r *reader) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if err := r.poll(ctx); err != nil && ctx.Err() == nil {
			b.t.Errorf("reading %s: %v", r.view.name(), err)
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// quiet ends the load; the readers go on.
func (b *background) quiet() {
	b.calm()
	b.writing.Wait()
}

// close ends the readers and reports what they saw.
func (b *background) close() {
	b.t.Helper()
	b.end()
	b.reading.Wait()
	for _, r := range b.readers {
		for i, f := range r.faults {
			if i < 10 {
				b.t.Error(f)
			}
		}
		if r.polls == 0 {
			b.t.Errorf("the reader of %s saw nothing", r.view.name())
		}
		b.t.Logf("%d polls of %s", r.polls, r.view.name())
	}
}
