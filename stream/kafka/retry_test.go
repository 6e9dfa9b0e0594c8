package kafka_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/engine"
	"github.com/freshet-dev/freshet/stream/kafka"
)

// poisonable is a shouter that fails for lines with "poison", and refuses those with "bad", until it is mended.
type poisonable struct{ mended *atomic.Bool }

func (o poisonable) Apply(ctx context.Context, in []stream.Value) ([]stream.Value, error) {
	if o.mended.Load() {
		out := make([]stream.Value, len(in))
		for i, v := range in {
			out[i] = stream.StringOf(strings.ToUpper(v.Str()))
		}
		return out, nil
	}
	if slices.ContainsFunc(in, func(v stream.Value) bool { return strings.Contains(v.Str(), "poison") }) {
		return nil, stream.Errorf(stream.Transient, "shout", "status 500")
	}
	return shouter{}.Apply(ctx, in)
}

func parked(p *process) (n int) {
	for _, part := range p.processed() {
		n += part.Parked
	}
	return n
}

// TestRetry: documents that are parked hold nobody up and go on when they are due, or at once when somebody asks; so do
// quarantined ones. What is given up goes everywhere.
func TestRetry(t *testing.T) {
	play(t, func(s *scene) {
		s.filled()
		var mended atomic.Bool
		p := s.start(func(c *setup) { c.program = newLinesWith(poisonable{&mended}) })
		for i := range 3 {
			s.write(fmt.Sprint("poison", i), fmt.Sprint("poison", i))
			s.write(fmt.Sprint("bad", i), fmt.Sprint("bad", i))
		}
		s.publish(stream.Record{Value: []byte("of nothing")})
		for n := 0; parked(p) < 3; n++ { // others succeed meanwhile
			s.write("traffic.md", fmt.Sprint("line ", n))
			s.wait(500 * time.Millisecond)
		}
		s.until("the others are processed", func() bool { return sum(p).Quarantined == 3 && sum(p).Rejected == 1 && sum(p).Pending == 3 })
		mended.Store(true)
		began := time.Now()
		out, err := p.proc.Retry(s.Context(), kafka.Which{Documents: []string{"page/poison0", "page/traffic.md", "page/nobody"}})
		if err != nil || out.Due != 1 || !slices.Equal(out.Live, []string{"page/traffic.md"}) || !slices.Equal(out.Unknown, []string{"page/nobody"}) {
			t.Errorf("named: %+v, %v", out, err)
		}
		if out, err = p.proc.Retry(s.Context(), kafka.Which{Quarantined: true}); err != nil || out.Due != 3 {
			t.Errorf("quarantined: %+v, %v", out, err)
		}
		s.until("they are evaluated", func() bool { return sum(p).Quarantined == 0 && sum(p).Pending == 2 })
		if out, err = p.proc.Retry(s.Context(), kafka.Which{Parked: true}); err != nil || out.Due != 2 {
			t.Errorf("parked: %+v, %v", out, err)
		}
		s.settle(p)
		if took := time.Since(began); took > 25*time.Second {
			t.Errorf("they were evaluated after %v", took)
		}
		s.expect()
		s.consistent(p)
	})
}

// TestDrop: a quarantined document goes with its rows, and a record that could not be understood; nothing else can be dropped.
func TestDrop(t *testing.T) {
	play(t, func(s *scene) {
		s.filled()
		p := s.start()
		s.write("gone.md", "first")
		s.settle(p)
		s.write("gone.md", "bad")
		s.publish(stream.Record{Value: []byte("of nothing")})
		s.until("they are quarantined", func() bool { return sum(p).Quarantined == 1 && sum(p).Rejected == 1 })
		if held, err := p.proc.Drop(s.Context(), "page/04.md"); !held || stream.KindOf(err) != stream.Usage {
			t.Errorf("a live document: held %t, %v", held, err)
		}
		if held, err := p.proc.Drop(s.Context(), "page/nobody"); held || err != nil {
			t.Errorf("an unknown document: held %t, %v", held, err)
		}
		for _, want := range []bool{true, false} {
			if held, err := p.proc.Drop(s.Context(), "page/gone.md"); held != want || err != nil {
				t.Errorf("a quarantined document: held %t, %v; want %t", held, err, want)
			}
			if held, err := p.proc.DropRejected(s.Context(), s.rejected(p)); held != want || err != nil {
				t.Errorf("a record: held %t, %v; want %t", held, err, want)
			}
		}
		delete(s.files, "gone.md")
		s.settle(p)
		if n := sum(p); n.Rejected+n.Quarantined != 0 || n.Documents != int64(len(s.files)) {
			t.Errorf("%+v", n)
		}
		s.expect()
		s.consistent(p)
	})
}

// rejected is the position of a record that could not be understood.
func (s *scene) rejected(p *process) (at stream.Position) {
	s.Helper()
	for _, id := range p.proc.Held() {
		store, release, ok := p.proc.Store(id)
		if !ok {
			continue
		}
		err := engine.RejectedRecords(store, func(r engine.Rejected) error { at = r.Position; return nil })
		release()
		if err != nil {
			s.Fatal(err)
		}
	}
	return at
}

// timed is a shouter of one line at a time that notes when it is called.
type timed struct {
	mu *sync.Mutex
	at *[]time.Time
}

func (o timed) Apply(ctx context.Context, in []stream.Value) ([]stream.Value, error) {
	o.mu.Lock()
	*o.at = append(*o.at, time.Now())
	o.mu.Unlock()
	return shouter{}.Apply(ctx, in)
}

// TestReplicasShareARate: each takes the part of a declared rate that it has of the partitions.
func TestReplicasShareARate(t *testing.T) {
	play(t, func(s *scene) {
		op := timed{&sync.Mutex{}, new([]time.Time)}
		replica := func(c *setup) {
			c.program = newLinesWith(op)
			c.program.shout.Rate = 3
			c.processor.Stores = newStores()
		}
		a, b := s.start(replica), s.start(replica, func(c *setup) { c.deliver = false })
		s.until("both have partitions", func() bool {
			return len(a.proc.Held()) > 0 && len(b.proc.Held()) > 0 && len(a.proc.Held())+len(b.proc.Held()) == partitions
		})
		var records []stream.Record
		for i := range 60 {
			path := fmt.Sprintf("r%02d.md", i)
			s.files[path] = fmt.Sprint("line of ", i)
			records = append(records, fileRecord(path, s.files[path]))
		}
		s.publish(records...)
		s.settle(a, b)
		s.expect()
		for i := range len(*op.at) - 9 { // three seconds' worth, one call that each sends at once, and a little of each
			if took := (*op.at)[i+9].Sub((*op.at)[i]); len(*op.at) != 60 || took < 2*time.Second {
				t.Fatalf("%d calls; from number %d on, 10 of them within %v, at 3 in a second", len(*op.at), i, took)
			}
		}
	})
}
