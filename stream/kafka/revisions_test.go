package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/freshet-dev/freshet/schemas"
	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/kafka"
)

// revision runs a program under a number: the first one's logic, or the second one's, which keeps the beginning of a line only.
func revision(number int64, second bool) func(*setup) {
	return func(c *setup) {
		c.processor.Revision = number
		if second {
			c.program = newLines()
			c.program.logic, c.program.brief = "lines2", true
		}
		c.delivery.Logic = c.program.Logic()
	}
}

// long fills the source with documents whose rows show which revision made them.
func (s *scene) long(n int) {
	s.Helper()
	for i := range n {
		s.write(fmt.Sprintf("page-%d.md", i), fmt.Sprintf("%d is a line of some length", i))
	}
}

// TestBackToAnEarlierLogicHalfWay: documents that a revision in between evaluated are found, though the partition's logic never was its own.
func TestBackToAnEarlierLogicHalfWay(t *testing.T) {
	play(t, func(s *scene) {
		p := s.start(revision(1, false))
		s.long(40)
		s.settle(p)
		p.stop()
		partly := func(rows int64, what func(*setup)) {
			p = s.start(what)
			p.proc.SetPace(schemas.Backfill{Rate: 8})
			s.until("some documents are evaluated", func() bool { return p.totals.Snapshot().Tables["lines"].Upserts >= rows })
			p.stop()
			if n := p.totals.Snapshot().Tables["lines"].Upserts; n > 2*rows {
				t.Fatalf("%d documents are evaluated again, so that nothing is half-way", n)
			}
		}
		partly(16, revision(2, true))
		partly(4, revision(3, false))
		p = s.start(revision(3, false))
		s.settle(p)
		s.expect()
		p.stop()
		p = s.start(revision(3, false)) // nothing is left to find
		s.settle(p)
		if n := p.totals.Snapshot().Evaluated; n != 0 {
			t.Errorf("%d documents are evaluated again", n)
		}
	})
}

// TestBackfillKeepsItsPace: under a rate it takes so many documents a second and no more, paused it takes none, and live changes go on.
func TestBackfillKeepsItsPace(t *testing.T) {
	play(t, func(s *scene) {
		p := s.start(revision(1, false))
		s.long(60)
		s.settle(p)
		p.stop()
		p = s.start(revision(2, true))
		p.proc.SetPace(schemas.Backfill{Paused: true})
		s.write("live.md", "it comes meanwhile")
		evaluated := func() int64 { return p.totals.Snapshot().Evaluated }
		s.until("the live change is evaluated", func() bool { return evaluated() == 1 })
		s.wait(20 * time.Second)
		if b := p.proc.Backfill(); evaluated() != 1 || b == nil || b.Left != 60 || !b.Paused {
			t.Errorf("paused, %d documents are evaluated: %+v", evaluated(), b)
		}
		begun := time.Now()
		p.proc.SetPace(schemas.Backfill{Rate: 10})
		s.until("half of it is done", func() bool { return evaluated() >= 31 })
		if d := time.Since(begun); d < 2500*time.Millisecond || d > 6*time.Second {
			t.Errorf("30 documents at 10 a second took %v", d)
		}
		if b := p.proc.Backfill(); b == nil || b.PerSecond < 5 || b.PerSecond > 15 || b.Seconds <= 0 {
			t.Errorf("half-way: %+v", b)
		}
		p.proc.SetPace(schemas.Backfill{})
		s.settle(p)
		if b := p.proc.Backfill(); evaluated() != 61 || b != nil {
			t.Errorf("in the end %d are evaluated: %+v", evaluated(), b)
		}
	})
}

// TestBacklogThatChanged: a backlog of which nothing is left to be evaluated, since all of it changed meanwhile, ends.
func TestBacklogThatChanged(t *testing.T) {
	play(t, func(s *scene) {
		p := s.start(revision(1, false))
		s.long(10)
		s.settle(p)
		p.stop()
		p = s.start(revision(2, true))
		p.proc.SetPace(schemas.Backfill{Paused: true})
		for i := range 10 {
			s.write(fmt.Sprintf("page-%d.md", i), fmt.Sprintf("%d is another line", i))
		}
		s.until("all changes are evaluated", func() bool { return p.totals.Snapshot().Evaluated == 10 })
		p.proc.SetPace(schemas.Backfill{Rate: 1000})
		s.until("nothing is left", func() bool { return p.proc.Backfill() == nil })
		s.settle(p)
		if n := p.totals.Snapshot().Evaluated; n != 10 {
			t.Errorf("%d documents are evaluated, want each once", n)
		}
	})
}

// TestOutdatedYields: a process does not go on with what a newer revision has written.
func TestOutdatedYields(t *testing.T) {
	play(t, func(s *scene) {
		p := s.start(revision(2, false))
		s.long(4)
		s.settle(p)
		p.stop()
		old := s.start(revision(1, true))
		old.halts(stream.Usage, "revision 2", "runs revision 1")
		var why *kafka.Outdated
		if !errors.As(old.err, &why) || *why != (kafka.Outdated{Runs: 1, Found: 2}) {
			t.Errorf("it ended with %v", old.err)
		}
	})
}

func TestDeclarationIsRecorded(t *testing.T) {
	play(t, func(s *scene) {
		if r, err := s.cluster.Recorded(s.Context(), "lines"); err != nil || r.Declaration != nil {
			t.Fatalf("before any: %+v, %v", r, err)
		}
		record := func(revision int64) schemas.Declaration {
			d := schemas.Declaration{Revision: revision, Created: 5, Body: []byte{byte(revision)}, Text: []byte("flow: lines")}
			if err := s.cluster.Record(s.Context(), "lines", d); err != nil {
				t.Fatal(err)
			}
			return d
		}
		record(1)
		second := record(2)
		paces, followed := make(chan schemas.Backfill, 2), make(chan error, 1)
		go func() {
			followed <- s.cluster.Follow(s.Context(), "lines", second, func(b schemas.Backfill) { paces <- b })
		}()
		if b := <-paces; b != (schemas.Backfill{}) {
			t.Errorf("at first %+v", b)
		}
		want := schemas.Backfill{Paused: true, Rate: 2.5}
		if err := s.cluster.SetBackfill(s.Context(), "lines", want); err != nil {
			t.Fatal(err)
		}
		if b := <-paces; b != want {
			t.Errorf("then %+v", b)
		}
		record(3)
		var why *kafka.Outdated
		if err := <-followed; !errors.As(err, &why) || why.Found != 3 || why.Runs != 2 {
			t.Errorf("following ended with %v", err)
		}
		r, err := s.cluster.Recorded(s.Context(), "lines")
		if err != nil || r.Declaration.Revision != 3 || r.Declaration.Body[0] != 3 || string(r.Declaration.Text) != "flow: lines" {
			t.Errorf("the last is %+v (%v)", r, err)
		}
		all, err := s.cluster.Revisions(s.Context(), "lines")
		if err != nil || len(all) != 3 || all[0].Body[0] != 1 || all[2].Revision != 3 {
			t.Errorf("all are %+v (%v)", all, err)
		}
		s.ensure()
		if s.topics.Generation.Generation != 1 {
			t.Errorf("generation %+v", s.topics.Generation)
		}
	})
}

// TestTwoFirstRevisions: of two processes that recorded the first one together, as those of before did, that which was overtaken notices.
func TestTwoFirstRevisions(t *testing.T) {
	play(t, func(s *scene) {
		mine := schemas.Declaration{Revision: 1, Body: []byte("mine")}
		p, err := s.cluster.OpenPublisher("lines.meta")
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		for _, body := range []string{"mine", "theirs"} {
			records, err := schemas.EncodeDeclaration(schemas.Declaration{Revision: 1, Body: []byte(body)})
			if err != nil {
				t.Fatal(err)
			}
			if err := p.Publish(s.Context(), records); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithTimeout(s.Context(), time.Minute)
		defer cancel()
		var why *kafka.Outdated
		if err := s.cluster.Follow(ctx, "lines", mine, func(schemas.Backfill) {}); !errors.As(err, &why) {
			t.Errorf("following ended with %v", err)
		}
	})
}

// TestRecordFollows: a revision is recorded after the present one only, and once.
func TestRecordFollows(t *testing.T) {
	play(t, func(s *scene) {
		for _, embedded := range []bool{true, false} {
			s.cluster.Embedded = embedded
			first := int64(1)
			if !embedded {
				first = 3
			}
			mine := schemas.Declaration{Revision: first, Body: []byte("mine")}
			for range 2 {
				if err := s.cluster.Record(s.Context(), "lines", mine); err != nil {
					t.Fatal(err)
				}
			}
			for _, d := range []schemas.Declaration{{Revision: first, Body: []byte("theirs")}, {Revision: first + 2, Body: []byte("theirs")},
				{Revision: first, Body: mine.Body, Editions: []stream.Edition{{Table: "lines", Now: 1, Shown: 1}}}} {
				var why *kafka.Outdated
				if err := s.cluster.Record(s.Context(), "lines", d); !errors.As(err, &why) || why.Found != first {
					t.Errorf("revision %d after %d: %v", d.Revision, first, err)
				}
			}
			if r, err := s.cluster.Recorded(s.Context(), "lines"); err != nil || string(r.Declaration.Body) != "mine" || r.Declaration.Revision != first {
				t.Errorf("recorded is %+v (%v)", r.Declaration, err)
			}
			if err := s.cluster.Record(s.Context(), "lines", schemas.Declaration{Revision: first + 1}); err != nil {
				t.Error(err)
			}
		}
	})
}
