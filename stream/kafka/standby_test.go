package kafka_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/kafka"
)

// standbys lets each partition be followed by n replicas beside its owner.
func standbys(n int) func(*setup) { return func(c *setup) { c.processor.Standbys = n } }

// watched returns the partitions that a process follows with nothing left to read.
func (p *process) watched() (out []int32) {
	for _, s := range p.proc.Standbys() {
		if s.Lag >= 0 && s.Lag <= 1 { // a marker at the end may be unread
			out = append(out, s.Partition)
		}
	}
	return out
}

// untilFollowed waits until each process holds its share, and follows all that the other holds, to its end.
func (s *scene) untilFollowed(first, second *process) {
	s.Helper()
	s.until("each follows what the other owns", func() bool {
		a, b := first.proc.Held(), second.proc.Held()
		return len(a) > 0 && len(b) > 0 && len(a)+len(b) == partitions && slices.Equal(first.watched(), b) && slices.Equal(second.watched(), a) &&
			s.level(first.setup.processor.Stores, second.setup.processor.Stores)
	})
}

// level reports whether the stores of two machines are at the same checkpoints.
func (s *scene) level(one, other kafka.Stores) bool {
	a, b := one.(*memoryStores), other.(*memoryStores)
	for p := range int32(partitions) {
		x, ok1 := a.checkpoint(p)
		y, ok2 := b.checkpoint(p)
		if !ok1 || !ok2 || x.Applied != y.Applied || x.Input != y.Input {
			return false
		}
	}
	return true
}

// sameState compares what the stores of two machines hold.
func (s *scene) sameState(one, other *memoryStores) {
	s.Helper()
	for p := range int32(partitions) {
		if a, b := one.content(p), other.content(p); !slices.Equal(a, b) {
			s.Errorf("partition %d: one machine holds %d entries, the other %d, or other ones", p, len(a), len(b))
		}
	}
}

// content lists what a store holds.
func (m *memoryStores) content(p int32) (out []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.open[p] == nil {
		return nil
	}
	_ = m.open[p].Reopen().Scan(nil, nil, func(k, v []byte) (bool, error) { // memory does not fail
		out = append(out, fmt.Sprintf("%q %x", k, v))
		return true, nil
	})
	return out
}

// TestStandby: each of two replicas follows what the other owns; when one dies, the other goes on with what it has.
func TestStandby(t *testing.T) {
	playReal(t, func(s *scene) {
		one, other := newStores(), newStores()
		first := s.start(replica(one, ""), standbys(1))
		s.load(0)
		second := s.start(replica(other, ""), standbys(1))
		s.load(1)
		s.load(2)
		s.settle(first, second)
		s.untilFollowed(first, second)
		s.sameState(one, other)
		read := first.restored()
		second.link.sever()
		s.until("the first has all", func() bool { return len(first.proc.Held()) == partitions })
		if got := first.restored(); got.records != read.records {
			t.Errorf("%d records were read to take over, want none", got.records-read.records)
		}
		s.load(3)
		s.settle(first)
		s.expect()
		s.consistent(first)
		if n := first.proc.Metrics.StandbyRecords.Load() + second.proc.Metrics.StandbyRecords.Load(); n == 0 {
			t.Error("nothing was followed")
		}
		if len(one.wiped)+len(other.wiped) > 0 {
			t.Errorf("wiped: %v, %v", one.wiped, other.wiped)
		}
	})
}

// TestStandbyRestarts: a replica that stops cleanly and comes back gets its partitions back without reading what it had.
func TestStandbyRestarts(t *testing.T) {
	playReal(t, func(s *scene) {
		one, other := newStores(), newStores()
		first, second := s.start(replica(one, ""), standbys(1)), s.start(replica(other, ""), standbys(1))
		s.load(0)
		s.settle(first, second)
		s.untilFollowed(first, second)
		began := first.restored().records // while the two shared the partitions under load, a move may have had to read
		for round := 1; round < 5; round++ {
			if err := second.stop(); err != nil {
				t.Fatal(err)
			}
			s.until("the first has all", func() bool { return len(first.proc.Held()) == partitions })
			second = s.start(replica(other, ""), standbys(1))
			s.untilFollowed(first, second)
			if n := first.restored().records - began + second.restored().records; n > 0 {
				t.Errorf("restart %d: %d records were read by restores, want none: nothing changed while one was away", round, n)
			}
			s.load(round)
			s.settle(first, second)
			s.untilFollowed(first, second)
		}
		s.sameState(one, other)
		s.expect()
	})
}

// TestStandbyWipes: a standby obeys the rules of a restore: what can't be continued is wiped and followed from the start.
func TestStandbyWipes(t *testing.T) {
	t.Parallel()
	for name, harm := range map[string]func(m *memoryStores){
		"another changelog":         func(m *memoryStores) { m.mark(func(c *stream.Checkpoint) { c.TopicID = "other" }) },
		"unknown format":            func(m *memoryStores) { m.mark(func(c *stream.Checkpoint) { c.Format = 99 }) },
		"ahead of the log":          func(m *memoryStores) { m.mark(func(c *stream.Checkpoint) { c.Applied += 1000 }) },
		"no checkpoint was reached": func(m *memoryStores) { m.mark(func(c *stream.Checkpoint) { c.Applied = -1 }) },
		"older than half of the retention": func(m *memoryStores) {
			m.mark(func(c *stream.Checkpoint) {
				c.Clock -= int64(kafka.DefaultRetention.Delete/2 + kafka.DefaultRetention.Delete/100)
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			playReal(t, func(s *scene) {
				s.cluster.Embedded = false
				one, other := newStores(), newStores()
				first := s.start(replica(one, ""), standbys(1))
				s.load(0)
				s.settle(first)
				other = one.clone()
				harm(other)
				second := s.start(replica(other, ""), standbys(1), func(c *setup) { c.processor.WarmLag = 1 << 40 })
				s.load(1)
				s.settle(first, second)
				s.untilFollowed(first, second)
				s.sameState(one, other)
				s.expect()
				for _, p := range second.watched() {
					if !slices.Contains(other.wiped, p) {
						t.Errorf("the store of partition %d was followed on, not wiped", p)
					}
				}
			})
		})
	}
}

// TestStandbyGoesOn: a standby whose store fails, or whose place in the changelog is deleted, leaves the owner alone and
// tries again.
func TestStandbyGoesOn(t *testing.T) {
	playReal(t, func(s *scene) {
		one, other := newStores(), newStores()
		first := s.start(replica(one, ""), standbys(1))
		s.load(0)
		s.settle(first)
		other.interrupt = func(int) error { return errors.New("the disk is full") }
		failing := func(c *setup) { c.processor.WarmLag, c.deliver = 1, false }
		second := s.start(replica(other, ""), standbys(1), failing)
		s.until("the second follows", func() bool { return len(second.proc.Standbys()) > 0 })
		s.load(1)
		s.until("the first goes on", func() bool { return s.caughtUp([]*process{first}) })
		if n := len(first.proc.Held()); n != partitions {
			t.Errorf("the first has %d partitions: some went to one whose store fails", n)
		}
		s.expect()
	})
}

// TestColdMemberWarmsUp: a partition stays with its owner until the member that is to own it has warmed up; at most two
// do at the same time, and no restore reads anything.
func TestColdMemberWarmsUp(t *testing.T) {
	playReal(t, func(s *scene) {
		cold := func(c *setup) { c.processor.WarmLag = 3 }
		first := s.start(replica(newStores(), ""), cold)
		for round := range 3 {
			s.load(round)
			s.settle(first)
		}
		second, third := s.start(replica(newStores(), ""), cold), s.start(replica(newStores(), ""), cold)
		s.until("each has one", func() bool {
			warming := 0
			for _, p := range []*process{first, second, third} {
				for _, status := range p.proc.Standbys() {
					if status.Warming {
						warming++
					}
				}
			}
			if warming > 2 {
				t.Errorf("%d partitions warm up at the same time", warming)
			}
			return slices.Equal(held(first, second, third), []int{1, 1, 1})
		})
		for _, p := range []*process{second, third} {
			if p.proc.Metrics.StandbyRecords.Load() == 0 {
				t.Error("a member got its partition cold")
			}
			if got := p.restored(); got.records > 0 {
				t.Errorf("a restore read %d records", got.records)
			}
		}
		s.load(3)
		s.settle(first, second, third)
		s.expect()
		s.consistent(first, second, third)
	})
}
