package kafka_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/kafka"
)

// onlyDelivery runs no processor.
func onlyDelivery(c *setup) { c.process = false }

// onlyProcessor runs no delivery.
func onlyProcessor(c *setup) { c.deliver = false }

// end stops a process that should not have ended.
func (s *scene) end(p *process) {
	s.Helper()
	if err := p.stop(); err != nil {
		s.Fatal(err)
	}
}

// TestTransientTargetIsRetriedInPlace: a target that does not answer is asked again, later and later; another target of
// the flow does not wait for it, nothing is skipped.
func TestTransientTargetIsRetriedInPlace(t *testing.T) {
	play(t, func(s *scene) {
		var mu sync.Mutex
		var tries []time.Time
		down := true
		s.shelf.before = func(method string, _ stream.Batch) error {
			mu.Lock()
			defer mu.Unlock()
			if !down || method != "apply" {
				return nil
			}
			tries = append(tries, time.Now())
			return stream.Errorf(stream.Transient, "apply", "connection refused")
		}
		other := newShelf()
		p := s.start()
		q := s.start(onlyDelivery, func(c *setup) { c.delivery.Target, c.delivery.Sink = "other", other })
		s.write("a.md", "one")
		s.until("the other target has it", func() bool { return other.list() == "page/a.md ONE" })
		s.wait(time.Minute)
		mu.Lock()
		n, last := len(tries), tries[len(tries)-1].Sub(tries[len(tries)-2])
		down = false
		mu.Unlock()
		if n < 10 || n > 30 || last != 5*time.Second {
			t.Errorf("%d tries in a minute, the last after %s", n, last)
		}
		s.settle(p)
		s.expect()
		if got := p.deliver.Metrics.Retries.Load(); got < int64(n) || q.deliver.Metrics.Retries.Load() > 0 {
			t.Errorf("%d retries counted, the other target %d", got, q.deliver.Metrics.Retries.Load())
		}
	})
}

// TestTargetIsLeftAloneAsLongAsItAsks: a target that says when it may be asked again is not asked before, and then has everything.
func TestTargetIsLeftAloneAsLongAsItAsks(t *testing.T) {
	const asked = 7 * time.Minute
	play(t, func(s *scene) {
		var mu sync.Mutex
		var tries []time.Time
		s.shelf.before = func(method string, _ stream.Batch) error {
			mu.Lock()
			defer mu.Unlock()
			if method != "apply" {
				return nil
			}
			if tries = append(tries, time.Now()); len(tries) > 1 {
				return nil
			}
			return &stream.Error{Op: "apply", Kind: stream.Transient, RetryAfter: asked}
		}
		p := s.start()
		s.write("a.md", "one")
		s.wait(asked + time.Minute)
		s.settle(p)
		s.expect()
		if between := tries[1].Sub(tries[0]); between < asked || between > asked+time.Second {
			t.Errorf("asked again after %s, want %s", between, asked)
		}
	})
}

// TestFencedPartitionIsTakenAnew: the sink says that another writer came; while the group still gives the partition to
// this member, it takes it again.
func TestFencedPartitionIsTakenAnew(t *testing.T) {
	play(t, func(s *scene) {
		var mu sync.Mutex
		fenced, assigned := 0, 0
		s.shelf.before = func(method string, _ stream.Batch) error {
			mu.Lock()
			defer mu.Unlock()
			switch {
			case method == "assign":
				assigned++
			case method == "apply" && fenced < 3:
				fenced++
				return stream.Errorf(stream.Fenced, "apply", "another writer took the partition")
			}
			return nil
		}
		p := s.start()
		for round := range 4 {
			s.load(round)
		}
		s.settle(p)
		s.expect()
		if got := p.deliver.Metrics.Fenced.Load(); got != 3 || assigned < partitions+3 {
			t.Errorf("fenced %d times, assigned %d times", got, assigned)
		}
	})
}

// TestTargetsThatStop: what a person must see to ends the delivery with the sink's own message.
func TestTargetsThatStop(t *testing.T) {
	for _, kind := range []stream.ErrorKind{stream.Usage, stream.Internal} {
		t.Run(kind.String(), func(t *testing.T) {
			play(t, func(s *scene) {
				s.shelf.before = func(method string, _ stream.Batch) error {
					if method != "apply" {
						return nil
					}
					return stream.Errorf(kind, "apply to shelf", "the table was altered")
				}
				p := s.start()
				s.write("a.md", "one")
				p.halts(kind, "target shelf", "the table was altered")
			})
		})
	}
}

// TestTargetsOfAnotherFlow: what the target holds does not fit the flow; one clear message, nothing is written.
func TestTargetsOfAnotherFlow(t *testing.T) {
	for name, c := range map[string]struct {
		change func(a *stream.Applied)
		words  []string
	}{
		"another rows topic":  {func(a *stream.Applied) { a.TopicID = "other" }, []string{"rows topic other of generation 1", "freshet reset"}},
		"a higher generation": {func(a *stream.Applied) { a.Generation = 5 }, []string{"of generation 5", "freshet reset"}},
		"ahead of the topic":  {func(a *stream.Applied) { a.Next += 1000 }, []string{"the topic lost records", "freshet reset"}},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, func(s *scene) {
				s.filled()
				for _, part := range s.shelf.parts {
					c.change(&part.applied)
				}
				before := s.shelf.list()
				p := s.start(onlyDelivery)
				p.halts(stream.Usage, append(c.words, "target shelf")...)
				if got := s.shelf.list(); got != before || len(s.shelf.called("adopt")) != partitions {
					t.Errorf("the target was changed: %s, %v", got, s.shelf.calls)
				}
			})
		})
	}
}

// TestTargetOfAnOlderGeneration is adopted: its rows stay until the first pass of the new one is marked.
func TestTargetOfAnOlderGeneration(t *testing.T) {
	play(t, func(s *scene) {
		s.filled()
		for _, part := range s.shelf.parts {
			part.applied.Generation, part.applied.TopicID = 0, "older"
		}
		p := s.start()
		s.settle(p)
		s.expect()
		if n := len(s.shelf.called("adopt")); n != 2*partitions {
			t.Errorf("adopted %d times: %v", n, s.shelf.calls)
		}
	})
}

// TestRebuild reads everything again into the stage and switches, while changes go on; rows that were altered in the
// target by hand are healed, and nothing is computed.
func TestRebuild(t *testing.T) {
	play(t, func(s *scene) {
		s.filled()
		for _, part := range s.shelf.parts {
			for id, w := range part.rows {
				w.Columns = []stream.Value{stream.StringOf("altered by hand")}
				part.rows[id] = w
			}
		}
		p := s.start()
		p.deliver.Rebuild()
		s.load(1)
		s.until("the rebuild began", func() bool { return !p.deliver.RebuildAsked() })
		s.load(2)
		s.settle(p)
		s.expect()
		if got := s.shelf.called("switch"); len(got) != partitions {
			t.Errorf("switched %v", got)
		}
	})
}

// TestRebuildOfSomePartitions leaves the others as they are.
func TestRebuildOfSomePartitions(t *testing.T) {
	play(t, func(s *scene) {
		s.filled()
		p := s.start()
		s.until("all is delivered", func() bool { return len(p.deliver.Status()) == partitions })
		p.deliver.Rebuild(1)
		p.deliver.Rebuild(2, 99)
		s.until("the rebuild began", func() bool { return !p.deliver.RebuildAsked() })
		s.settle(p)
		s.expect()
		got := s.shelf.called("switch")
		if len(got) != 2 || !strings.HasPrefix(got[0], "switch 1") || !strings.HasPrefix(got[1], "switch 2") {
			t.Errorf("switched %v", got)
		}
	})
}

// TestRebuildGoesOnAfterAStop: the target remembers how far the stage is.
func TestRebuildGoesOnAfterAStop(t *testing.T) {
	play(t, func(s *scene) {
		for round := range 6 {
			s.load(round)
		}
		p := s.start()
		s.settle(p)
		var mu sync.Mutex
		staged := map[int32]int64{}
		stuck := true
		s.shelf.before = func(method string, b stream.Batch) error {
			mu.Lock()
			defer mu.Unlock()
			if method == "stage" && stuck && b.To > b.From {
				return stream.Errorf(stream.Transient, "stage", "not now")
			}
			if method == "stage" {
				staged[b.Partition]++
			}
			return nil
		}
		p.deliver.Rebuild()
		s.until("it is stuck", func() bool { return p.deliver.Metrics.Retries.Load() > 2 })
		s.end(p)
		if len(staged) > 0 {
			t.Fatalf("staged %v", staged)
		}
		mu.Lock()
		stuck = false
		mu.Unlock()
		p = s.start()
		s.settle(p)
		s.expect()
		if got := s.shelf.called("rebuild"); len(got) != partitions {
			t.Errorf("rebuilds began %d times: %v", len(got), got)
		}
	})
}

// TestLateTarget: a target whose next record is older than half of the delete retention may have missed deletes. It is
// rebuilt, and says so; one that misses nothing is not.
func TestLateTarget(t *testing.T) {
	for name, late := range map[string]bool{"late": true, "in step": false} {
		t.Run(name, func(t *testing.T) {
			play(t, func(s *scene) {
				s.cluster.Embedded = false
				p := s.start()
				s.load(0)
				s.settle(p)
				s.end(p)
				if late {
					p = s.start(onlyProcessor)
					s.load(1)
					s.settle(p)
					s.end(p)
				}
				s.wait(s.topics.Retention.Delete/2 + time.Hour)
				p = s.start()
				s.load(2)
				s.settle(p)
				s.expect()
				if got := len(s.shelf.called("switch")) > 0; got != late {
					t.Errorf("rebuilt: %t, want %t: %v", got, late, s.shelf.calls)
				}
			})
		})
	}
}

// TestTablesAndWhere: tables that a target does not keep are stepped over, and its where turns upserts into deletes.
func TestTablesAndWhere(t *testing.T) {
	play(t, func(s *scene) {
		p := s.start(func(c *setup) {
			c.delivery.Keep = map[string]func([]stream.Value) (bool, error){"lines": func(columns []stream.Value) (bool, error) {
				return !strings.Contains(columns[0].Str(), "SECRET"), nil
			}}
		})
		none := newShelf()
		q := s.start(onlyDelivery, func(c *setup) {
			c.delivery.Target, c.delivery.Sink = "none", none
			c.delivery.Tables = map[string]stream.Table{"others": {Name: "others"}}
		})
		s.publish(fileRecord("a.md", "one\nsecret two"))
		s.settle(p)
		if got := s.shelf.list(); got != "page/a.md ONE" {
			t.Errorf("the target holds %q", got)
		}
		s.settle(p, q)
		if got := none.list(); got != "" {
			t.Errorf("the target without tables holds %q", got)
		}
		if len(none.parts) != partitions {
			t.Errorf("the target without tables has %d partitions", len(none.parts))
		}
	})
}

// TestUnitsAreNeverCut writes documents whose units are larger than a poll and than a batch: what a reader of the target
// sees of a document is always one whole state of it.
func TestUnitsAreNeverCut(t *testing.T) {
	play(t, func(s *scene) {
		const width = 6000 // a change of all lines deletes as many rows as it writes
		p := s.start(onlyProcessor)
		for round := range 3 {
			lines := make([]string, width)
			for i := range lines {
				lines[i] = fmt.Sprintf("%d in round %d", i, round)
			}
			s.write("wide.md", strings.Join(lines, "\n"))
			s.write("narrow.md", "alone")
			s.settle(p)
		}
		var seen, cut atomic.Int64 // partitions are written side by side
		s.shelf.before = func(string, stream.Batch) error {
			rounds := map[string]int{}
			for line := range strings.Lines(s.shelf.list()) {
				if strings.HasPrefix(line, "page/wide.md") {
					rounds[strings.Fields(line)[4]]++
				}
			}
			seen.Add(1)
			for _, n := range rounds {
				if n != width {
					cut.Add(1)
				}
			}
			return nil
		}
		q := s.start(onlyDelivery)
		s.settle(p, q)
		s.expect()
		if seen.Load() < 4 || cut.Load() > 0 {
			t.Errorf("in %d of %d looks a part of a document was visible", cut.Load(), seen.Load())
		}
	})
}

// TestTwoDeliveries share the partitions of one target; one dies, the other goes on where the target is.
func TestTwoDeliveries(t *testing.T) {
	playReal(t, func(s *scene) {
		p := s.start(onlyProcessor)
		a, b := s.start(onlyDelivery), s.start(onlyDelivery)
		s.until("they share", func() bool { return len(a.deliver.Status()) > 0 && len(b.deliver.Status()) > 0 })
		s.load(0)
		s.load(1)
		s.settle(p, a, b)
		s.expect()
		b.link.sever()
		s.load(2)
		s.until("one has all", func() bool { return len(a.deliver.Status()) == partitions })
		s.settle(p, a)
		s.expect()
	})
}

// TestLagsReachZero: Freshet's own measure steps over the control records that end transactions.
func TestLagsReachZero(t *testing.T) {
	play(t, func(s *scene) {
		p := s.start()
		s.load(0)
		s.load(1)
		s.settle(p)
		s.until("no lag", func() bool {
			lags, err := s.cluster.Lags(s.Context(), s.topics, []string{"shelf"})
			if err != nil {
				t.Fatal(err)
			}
			return len(lags) == 2 && !slices.ContainsFunc(lags, func(l kafka.Lag) bool { return l.Total > 0 })
		})
	})
}
