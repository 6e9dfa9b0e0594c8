package torture

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/freshet-dev/freshet/internal/testenv"
)

func TestMain(m *testing.M) { os.Exit(testenv.Main(m)) }

// points of a transaction at which a process is killed once, by FAULTS: after k row records were sent (F3), rows sent but
// no state (F4), before progress (F5), flushed (F6), around the requests that commit (F7 to F10), committed but not in the
// local state (F11).
var points = []string{"F3", "F4", "F5", "F6", "F7", "F8", "F9", "F10", "F11"}

func kills() int {
	if n, err := strconv.Atoi(os.Getenv("FRESHET_KILLS")); err == nil {
		return n
	}
	return 30
}

// TestKills kills a replica again and again while documents change, most often inside an open transaction, and once at
// every named point; a reader watches. In the end the target must hold what an uninterrupted run gives.
func TestKills(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	s := newScene(t)
	l := newLoad(t, s.broker.Addr(), s.topic, seed)
	flow := s.flowFile("killed")
	stop := s.background(l, newReader(t, s.db.URL, "killed"))

	inside := 0
	for i := range kills() {
		p := s.start(flow, "")
		if i%3 < 2 {
			s.until("an open transaction", p, func(ctx context.Context) bool { return s.ongoing(ctx, "killed.processor.0") })
			inside++
		} else {
			from := s.committed(t.Context(), "killed")
			s.until("a commit", p, func(ctx context.Context) bool { return s.committed(ctx, "killed") > from })
		}
		p.kill()
	}
	for _, point := range points {
		p := s.start(flow, point+":2")
		s.dies(p, point)
	}
	polls := stop()

	s.finish(flow)
	t.Logf("%d kills inside an open transaction, %d others, %d at named points; %d changes; %d polls",
		inside, kills()-inside, len(points), l.sent.Load(), polls)
	s.compare(t, "killed")
}

// compare runs the same changes through a flow that nobody interrupts.
func (s *scene) compare(t *testing.T, schema string) {
	t.Helper()
	s.finish(s.flowFile("calm"))
	got, want := declared(t.Context(), t, s.db.URL, schema), declared(t.Context(), t, s.db.URL, "calm")
	if want == "" {
		t.Fatal("the uninterrupted run gave no rows: the comparison says nothing")
	}
	if got != want {
		t.Errorf("the target differs from an uninterrupted run's\n%s", firstDifference(got, want))
	}
}

// finish lets a flow catch up.
func (s *scene) finish(flow string) {
	s.t.Helper()
	p := s.start(flow, "", "--once", "--json")
	<-p.done
	if p.err != nil {
		s.t.Fatalf("catching up: %v\n%s", p.err, p.out.String())
	}
}

// background writes changes and reads the target until the returned function is called, which reports how often the
// reader looked, and fails the test with what it saw.
func (s *scene) background(l *load, r *reader) (stop func() (polls int)) {
	ctx, cancel := context.WithCancel(s.t.Context())
	var group sync.WaitGroup
	group.Go(func() {
		for ctx.Err() == nil {
			if err := l.step(ctx, 5); err != nil && ctx.Err() == nil {
				s.t.Errorf("writing changes: %v", err)
				return
			}
		}
	})
	group.Go(func() {
		for ctx.Err() == nil {
			if err := r.poll(ctx); err != nil && ctx.Err() == nil {
				s.t.Errorf("reading the target: %v", err)
				return
			}
		}
	})
	return func() int {
		cancel()
		group.Wait()
		for i, f := range r.faults {
			if i < 10 {
				s.t.Error(f)
			}
		}
		if r.polls == 0 {
			s.t.Error("the reader saw nothing")
		}
		return r.polls
	}
}

// TestCutBack: a change A to B is cut down half-way, and the source is back at A before the restart (F31).
func TestCutBack(t *testing.T) {
	s := newScene(t)
	l := newLoad(t, s.broker.Addr(), s.topic, 1)
	flow := s.flowFile("cut")
	write := func(rev, parts int) {
		if err := l.cl.ProduceSync(t.Context(), event(1, "u", rev, parts)).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	write(7, 3)
	s.finish(flow)
	before := declared(t.Context(), t, s.db.URL, "cut")
	for _, point := range []string{"F4", "F6", "F8", "F11"} {
		write(8, 5)
		p := s.start(flow, point+":1")
		s.dies(p, point)
		write(7, 3)
		s.finish(flow)
		if got := declared(t.Context(), t, s.db.URL, "cut"); got != before {
			t.Errorf("cut at %s, the rows of the cut change stayed:\n%s", point, firstDifference(got, before))
		}
	}
}

func firstDifference(got, want string) string {
	for i := 0; i < len(got) && i < len(want); i++ {
		if got[i] != want[i] {
			from := max(0, i-200)
			return fmt.Sprintf("got  …%s\nwant …%s", got[from:min(len(got), i+200)], want[from:min(len(want), i+200)])
		}
	}
	return fmt.Sprintf("%d bytes, want %d", len(got), len(want))
}
