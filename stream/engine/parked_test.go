package engine_test

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/engine"
)

// inTime is inBubble with the bubble's clock.
func inTime(t *testing.T, script func(t *testing.T, s *scene, p *part)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := newScene()
		s.clock, s.random = true, func() float64 { return 0.5 } // rests of exactly 1, 2, 4 ... minutes
		s.start()
		defer s.stop()
		p, err := s.part(0)
		if err != nil {
			t.Fatal(err)
		}
		script(t, s, p)
	})
}

// poisoned fails calls with such a word, as a server does that an input brings down, and counts them.
func (s *scene) poisoned(word string) (calls *atomic.Int64, mended *atomic.Bool) {
	calls, mended = new(atomic.Int64), new(atomic.Bool)
	s.op.fail = func(in []stream.Value) error {
		for _, v := range in {
			if strings.Contains(v.Str(), word) && !mended.Load() {
				calls.Add(1)
				return stream.Errorf(stream.Transient, "shout", "status 500")
			}
		}
		return nil
	}
	return calls, mended
}

// pass commits again and again for a while. Others' documents come in between, with traffic, whose calls succeed.
func (s *scene) pass(t *testing.T, p *part, d time.Duration, traffic bool) {
	t.Helper()
	step := max(time.Second, d/60)
	if traffic {
		step = time.Second / 2 // more often than an input is tried again in the end
	}
	for end := time.Now().Add(d); time.Now().Before(end); <-time.After(step) {
		if traffic {
			n := time.Now().UnixNano()
			s.must(t, p, write{"traffic", fmt.Sprintf("title=T body=word%d", n)})
			continue
		}
		s.must(t, p)
	}
}

func (p *part) header(t *testing.T, id string) engine.Header {
	t.Helper()
	h, known, err := engine.FindDocument(p.store, id)
	if err != nil || !known {
		t.Fatalf("%s is known: %t, %v", id, known, err)
	}
	return h
}

// A document whose input keeps failing while others succeed is parked, and tried again when it is due; after so many times it
// is given up.
func TestParked(t *testing.T) {
	inTime(t, func(t *testing.T, s *scene, p *part) {
		s.attempts, s.op.batch = 3, 1
		if err := s.restart(false); err != nil {
			t.Fatal(err)
		}
		calls, _ := s.poisoned("poison")
		s.must(t, p, write{"a", "title=A body=poison"})
		for n := 1; n < 3; n++ {
			s.pass(t, p, 10*time.Second, true)
			k := p.header(t, "book/a").Parked
			if k == nil || k.Attempts != n || k.Times != n || k.Node != "" || k.Reason != "shout: status 500" {
				t.Fatalf("after %d rounds of attempts: %+v", n, k)
			}
			rest := time.Duration(n) * time.Minute
			if wait := time.Unix(0, k.Due).Sub(time.Now()); wait > rest || wait < rest-10*time.Second {
				t.Errorf("parked for the time %d, it is due in %v", n, wait)
			}
			if p.engine.PendingBytes() != 0 || p.engine.Working() || !p.engine.Busy() || p.engine.Parked() != 1 {
				t.Errorf("%d pending bytes, working %t, %d parked", p.engine.PendingBytes(), p.engine.Working(), p.engine.Parked())
			}
			if got := calls.Load(); got != int64(6*n) {
				t.Errorf("%d calls by then, want %d", got, 6*n)
			}
			<-time.After(time.Until(time.Unix(0, k.Due)) - 2*time.Second)
			s.pass(t, p, time.Second, true)
			if got := calls.Load(); got != int64(6*n) {
				t.Errorf("tried again before it was due")
			}
			<-time.After(time.Second)
		}
		s.pass(t, p, 20*time.Second, true)
		h := p.header(t, "book/a")
		if want := "evaluate: given up after 3 attempts; the last: shout: status 500"; h.Status != engine.Quarantined || h.Reason != want || h.Parked != nil {
			t.Errorf("%s (%s), %+v", h.Status, h.Reason, h.Parked)
		}
		if p.engine.Busy() || p.counts.Quarantined != 1 || calls.Load() != 18 {
			t.Errorf("busy %t, %d changes quarantined, %d calls", p.engine.Busy(), p.counts.Quarantined, calls.Load())
		}
	})
}

// What is parked stays so over a restart, with its due time and its attempts.
func TestParkedOverARestart(t *testing.T) {
	inTime(t, func(t *testing.T, s *scene, p *part) {
		calls, mended := s.poisoned("poison")
		s.must(t, p, write{"a", "title=A body=poison"})
		s.pass(t, p, 10*time.Second, true)
		before := p.header(t, "book/a").Parked
		if err := s.restart(false); err != nil {
			t.Fatal(err)
		}
		mended.Store(true)
		s.pass(t, p, 10*time.Second, false)
		if k := p.header(t, "book/a").Parked; k == nil || *k != *before || p.engine.Parked() != 1 || calls.Load() != 6 {
			t.Errorf("%+v, was %+v; %d calls", k, before, calls.Load())
		}
		s.pass(t, p, time.Minute, false)
		if h := p.header(t, "book/a"); h.Status != engine.Live || h.Parked != nil || p.engine.Busy() {
			t.Errorf("%s, %+v", h.Status, h.Parked)
		}
	})
}

// Another program evaluates at once what was parked under the last one.
func TestParkedUnderAnotherProgram(t *testing.T) {
	inTime(t, func(t *testing.T, s *scene, p *part) {
		calls, _ := s.poisoned("poison")
		s.must(t, p, write{"a", "title=A body=poison"})
		s.pass(t, p, 10*time.Second, true)
		s.program = newBook(2, s.op)
		if err := s.restart(true); err != nil {
			t.Fatal(err)
		}
		if n := p.engine.Backlog(); n != 1 { // the traffic's document
			t.Errorf("%d documents in the backlog", n)
		}
		s.pass(t, p, 10*time.Second, true)
		if k := p.header(t, "book/a").Parked; k == nil || k.Attempts != 2 || calls.Load() < 12 {
			t.Errorf("%+v after %d calls", k, calls.Load())
		}
	})
}

// Invariant 6: a newer change is evaluated at once and with attempts of its own; one that alters nothing leaves the document parked.
func TestChangesOfAParkedDocument(t *testing.T) {
	inTime(t, func(t *testing.T, s *scene, p *part) {
		s.poisoned("poison")
		s.must(t, p, write{"a", "title=A body=poison"})
		s.pass(t, p, 80*time.Second, true)
		before := p.header(t, "book/a").Parked
		if before == nil || before.Attempts != 2 {
			t.Fatalf("%+v", before)
		}
		s.must(t, p, write{"a", "body=poison title=A"})
		if k := p.header(t, "book/a").Parked; k == nil || *k != *before {
			t.Errorf("a change that alters nothing made %+v of %+v", k, before)
		}
		s.must(t, p, write{"a", "title=B body=poison"})
		if h := p.header(t, "book/a"); h.Status != engine.Pending || h.Parked != nil || p.engine.Parked() != 0 {
			t.Errorf("%s, %+v", h.Status, h.Parked)
		}
		s.pass(t, p, 10*time.Second, true)
		if k := p.header(t, "book/a").Parked; k == nil || k.Attempts != 1 || k.Times != 1 {
			t.Errorf("the newer change has had %+v", k)
		}
		s.must(t, p, write{"a", "title=C body=red"})
		if got := p.table("book/a"); got != `pages="C" words red="RED"` || p.engine.Busy() {
			t.Errorf("%s; busy %t", got, p.engine.Busy())
		}
		s.must(t, p, write{"a", "title=D body=poison"})
		s.pass(t, p, 10*time.Second, true)
		s.must(t, p, write{"a", "-"})
		if got := p.table("book/a"); got != "" || p.engine.Busy() {
			t.Errorf("deleted, it has %s; busy %t", got, p.engine.Busy())
		}
	})
}

// A server that answers 500 to a batch says not which input it is: the others of its batch are found and go on.
func TestNeighboursOfAPoisonedInput(t *testing.T) {
	inTime(t, func(t *testing.T, s *scene, p *part) {
		s.op.batch = 8
		s.poisoned("poison")
		var writes []write
		for i := range 7 {
			writes = append(writes, write{fmt.Sprint("d", i), fmt.Sprintf("title=T body=word%d", i)})
		}
		s.must(t, p, append(writes, write{"a", "title=A body=poison"})...)
		s.pass(t, p, 10*time.Second, true)
		if k := p.header(t, "book/a").Parked; k == nil || k.Attempts != 1 || p.engine.Parked() != 1 {
			t.Errorf("%+v; %d are parked", k, p.engine.Parked())
		}
	})
}

// A transaction that waits long enough sees its documents parked itself: with attempts of their own, and without rows from before a
// delete.
func TestParkedAtOnce(t *testing.T) {
	inTime(t, func(t *testing.T, s *scene, p *part) {
		s.poisoned("poison")
		s.budget, s.op.batch = 10*time.Second, 1
		s.must(t, p, write{"a", "title=A body=red"})
		s.must(t, p, write{"probe", "body=poison0"}) // the node is out: this one goes on
		s.must(t, p, write{"b", "title=B body=poison1"}, write{"c", "title=C body=poison1"})
		if k := p.header(t, "book/b").Parked; k == nil || k.Times != 1 {
			t.Fatalf("%+v", k)
		}
		s.must(t, p, write{"b", "title=B body=poison2"}, write{"a", "-"}, write{"a", "title=A body=poison2"})
		for _, id := range []string{"book/a", "book/b"} {
			if h := p.header(t, id); h.Parked == nil || h.Parked.Times != 1 || h.Open != 1 || h.Rows != 0 || p.table(id) != "" {
				t.Errorf("%s: %+v, %d changes open, rows %s", id, h.Parked, h.Open, p.table(id))
			}
		}
		if p.counts.Evaluated != 1 || p.engine.Stats().Pending != 4 {
			t.Errorf("%d evaluated, %+v", p.counts.Evaluated, p.engine.Stats())
		}
	})
}

// What is asked to be tried again is evaluated at once, from its stored input and with attempts of its own.
func TestRetry(t *testing.T) {
	for _, restart := range []bool{false, true} {
		inTime(t, func(t *testing.T, s *scene, p *part) { retry(t, s, p, restart) })
	}
}

func retry(t *testing.T, s *scene, p *part, restart bool) {
	s.attempts, s.op.batch = 1, 1
	if err := s.restart(false); err != nil {
		t.Fatal(err)
	}
	_, mended := s.poisoned("poison")
	s.must(t, p, write{"live", "title=L body=red"}, write{"given", "title=G body=poison1"}, write{"unread", "title=U"})
	s.must(t, p, write{"unread", "?id"}, write{"x", "?"}, write{"slow", "body=slow"})
	s.pass(t, p, 10*time.Second, true)
	s.attempts = 5
	if err := s.restart(false); err != nil {
		t.Fatal(err)
	}
	s.must(t, p, write{"rests", "title=R body=poison2"})
	s.pass(t, p, 10*time.Second, true)
	if g, r := p.header(t, "book/given"), p.header(t, "book/rests"); g.Status != engine.Quarantined || r.Parked == nil {
		t.Fatalf("%s, %+v", g.Status, r.Parked)
	}
	mended.Store(true)
	s.retries = []string{"book/live", "book/given", "book/unread", "book/rests", "book/nobody", "book/slow", "book/given"}
	s.must(t, p, write{"given", "body=poison1 title=G"}) // which alters nothing
	want := []engine.Retried{engine.RetryLive, engine.RetryDue, engine.RetryUnread, engine.RetryDue, engine.RetryUnknown, engine.RetryUnderWay, engine.RetryUnderWay}
	if !slices.Equal(s.retried, want) {
		t.Errorf("%v, want %v", s.retried, want)
	}
	s.retries = nil
	if n := p.engine.Stats(); n.Pending != 3 || n.Quarantined != 1 {
		t.Errorf("%+v", n)
	}
	if restart { // it is no matter of memory
		if err := s.restart(false); err != nil {
			t.Fatal(err)
		}
	}
	s.pass(t, p, 3*time.Second, false)
	if p.table("book/given") != `pages="G" words poison1="POISON1"` || p.table("book/rests") == "" {
		t.Errorf("given: %s; rests: %s", p.table("book/given"), p.table("book/rests"))
	}
	s.drops = []string{"book/live", "book/unread", "book/nobody"}
	out := s.must(t, p)
	if !slices.Equal(s.dropped, []bool{false, true, false}) || out.Stats.Rejected != 0 || out.Stats.Quarantined != 0 || p.table("book/unread") != "" {
		t.Errorf("dropped %v; %+v", s.dropped, out.Stats)
	}
}

// While a node answers nobody, no document is to blame: they are parked, one probes, and all go on soon after it is back, also
// after a restart. Documents that do not need the node go on meanwhile.
func TestOutage(t *testing.T) {
	for _, restart := range []bool{false, true} {
		t.Run(fmt.Sprint("restart ", restart), func(t *testing.T) {
			inTime(t, func(t *testing.T, s *scene, p *part) {
				s.attempts = 2
				s.must(t, p, write{"d0", "title=T body=old"})
				calls, mended := s.poisoned("word")
				for i := range 20 {
					s.must(t, p, write{fmt.Sprint("d", i), fmt.Sprintf("title=T body=word%d", i)}, write{fmt.Sprint("free", i), "title=F"})
					if got := p.table(fmt.Sprint("book/free", i)); got != `pages="F"` {
						t.Fatalf("document %d that calls nobody has %s", i, got)
					}
				}
				s.pass(t, p, time.Hour, false)
				if restart {
					if err := s.restart(false); err != nil {
						t.Fatal(err)
					}
					s.pass(t, p, time.Minute, false)
				}
				if p.engine.Stats().Pending != 20 || p.counts.Quarantined != 0 {
					t.Fatalf("%+v", p.engine.Stats())
				}
				if n := p.engine.Parked(); n < 10 {
					t.Errorf("%d of 20 are parked", n)
				}
				if n := calls.Load(); n > 2000 {
					t.Errorf("%d calls to a server that is away", n)
				}
				for i := range 20 {
					if k := p.header(t, fmt.Sprint("book/d", i)).Parked; k != nil && (k.Node != "shout" || k.Attempts != 0) {
						t.Errorf("document %d: %+v", i, k)
					}
				}
				mended.Store(true)
				s.pass(t, p, time.Minute, false)
				if p.engine.Busy() || p.table("book/d7") != `pages="T" words word7="WORD7"` {
					t.Errorf("a minute after the outage %d are parked", p.engine.Parked())
				}
			})
		})
	}
}
