package kafka_test

import (
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/freshet-dev/freshet/stream"
)

// TestSweepIsNotForgotten: a delivery that is fenced between the last row of the first pass and the sweep meets the mark again.
func TestSweepIsNotForgotten(t *testing.T) {
	play(t, func(s *scene) {
		s.filled()
		s.reset(0)
		var fenced atomic.Int64
		s.shelf.before = func(method string, _ stream.Batch) error {
			if method == "sweep" && fenced.Add(1) <= partitions {
				return stream.Errorf(stream.Fenced, "sweep", "another writer took the partition")
			}
			return nil
		}
		p := s.start()
		s.until("swept", func() bool { return len(s.shelf.swept()) == partitions })
		s.settle(p)
		s.expect()
		if got := s.shelf.generations(); !slices.Equal(got, []int64{2}) {
			t.Errorf("rows of generations %v, want 2 only", got)
		}
	})
}

// TestRebuildDuringTheFirstPass: the target is rebuilt when the new generation has written nothing or a part; nothing that
// is still to come is missing in between.
func TestRebuildDuringTheFirstPass(t *testing.T) {
	play(t, func(s *scene) {
		s.filled()
		want := s.shelf.list()
		s.reset(0)
		d := s.start(onlyDelivery)
		d.deliver.Rebuild()
		s.until("rebuilt", func() bool { return len(s.shelf.called("switch")) == partitions })
		if got := s.shelf.list(); got != want {
			t.Errorf("the rebuild left:\n%s\nwant:\n%s", got, want)
		}
		p := s.start(onlyProcessor)
		d.deliver.Rebuild()
		s.settle(p, d)
		s.expect()
		s.until("swept", func() bool { return len(s.shelf.swept()) >= partitions })
		if got := s.shelf.generations(); !slices.Equal(got, []int64{2}) {
			t.Errorf("rows of generations %v, want 2 only", got)
		}
	})
}

// TestTargetAwayForLong: a delivery that waits for its target longer than the retention allows may find deletes gone: it takes
// its partitions anew, and rebuilds them. One that waited for less goes on.
func TestTargetAwayForLong(t *testing.T) {
	for name, long := range map[string]bool{"long": true, "not long": false} {
		t.Run(name, func(t *testing.T) {
			play(t, func(s *scene) {
				s.cluster.Embedded = false
				s.topics.Retention.Delete = 40 * time.Minute
				p := s.start()
				s.load(0)
				s.settle(p)
				var down atomic.Bool
				down.Store(true)
				s.shelf.before = func(method string, _ stream.Batch) error {
					if method == "apply" && down.Load() {
						return stream.Errorf(stream.Transient, "apply", "connection refused")
					}
					return nil
				}
				s.load(1)
				s.until("it waits", func() bool { return p.deliver.Metrics.Retries.Load() > 2*partitions })
				s.load(2) // read after the target is back
				away := s.topics.Retention.Delete / 8
				if long {
					away *= 5
				}
				s.wait(away)
				down.Store(false)
				s.load(3)
				s.settle(p)
				s.expect()
				if got := len(s.shelf.called("switch")) > 0; got != long {
					t.Errorf("rebuilt: %t, want %t: %v", got, long, s.shelf.calls)
				}
			})
		})
	}
}

// TestRebuildOfLongAgoBeginsAgain: what a rebuild staged before it was interrupted may lack deletes by now.
func TestRebuildOfLongAgoBeginsAgain(t *testing.T) {
	play(t, func(s *scene) {
		s.cluster.Embedded = false
		s.filled()
		var stuck atomic.Bool
		stuck.Store(true)
		s.shelf.before = func(method string, _ stream.Batch) error {
			if method == "stage" && stuck.Load() {
				return stream.Errorf(stream.Transient, "stage", "not now")
			}
			return nil
		}
		p := s.start()
		p.deliver.Rebuild()
		s.until("it is stuck", func() bool { return p.deliver.Metrics.Retries.Load() > 2 })
		for round := range 3 { // in every partition, after the rebuilds' ends
			s.load(round)
		}
		s.wait(time.Second)
		s.end(p)
		s.wait(s.topics.Retention.Delete/2 + time.Hour)
		stuck.Store(false)
		p = s.start()
		s.settle(p)
		s.expect()
		if got := s.shelf.called("rebuild"); len(got) != 2*partitions {
			t.Errorf("rebuilds began %d times: %v", len(got), got)
		}
	})
}
