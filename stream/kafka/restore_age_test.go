package kafka_test

import (
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/freshet-dev/freshet/schemas"
	"github.com/freshet-dev/freshet/stream"
)

// TestRestoreInterruptedKeepsItsAge: what a restore has read when it is cut short is as old as the records, however late
// they were read: deletes that came after them may be gone when it goes on.
func TestRestoreInterruptedKeepsItsAge(t *testing.T) {
	play(t, func(s *scene) {
		s.cluster.Embedded = false
		s.filled()
		for _, path := range paths(9) {
			s.write(path, "line\nsecond")
		}
		p := s.start()
		s.settle(p)
		if err := p.stop(); err != nil {
			t.Fatal(err)
		}
		s.wait(s.topics.Retention.Delete/2 + time.Minute)
		var half []int32
		for pieces := 1; len(half) == 0; pieces++ {
			half = s.interrupted(pieces)
		}
		s.restarted()
		for _, p := range half {
			if !slices.Contains(s.stores.wiped, p) {
				t.Errorf("the restore of partition %d, of old records, went on where it was cut short", p)
			}
		}
	})
}

// interrupted lets an empty disk be restored for so many pieces, and returns the partitions that have a checkpoint then,
// which is not that of what is committed.
func (s *scene) interrupted(pieces int) (half []int32) {
	s.Helper()
	s.stores.lose()
	s.stores.wiped = nil
	var written atomic.Int64
	s.stores.interrupt = func(int) error {
		if written.Add(1) > int64(pieces) {
			return errors.New("power is gone")
		}
		return nil
	}
	p := s.start(func(c *setup) { c.processor.RestorePiece, c.deliver = 2, false })
	<-p.ended
	_ = p.stop() // it says that power is gone
	s.stores.interrupt = nil
	for id, o := range s.committedOffsets() {
		m, err := schemas.DecodeCommit(o.Metadata)
		if err != nil {
			s.Fatal(err)
		}
		if c, ok := s.stores.checkpoint(id); ok && c.Applied >= 0 && c.Applied < m.Progress {
			half = append(half, id)
		}
	}
	return half
}

// checkpoint is what a store holds.
func (m *memoryStores) checkpoint(p int32) (c stream.Checkpoint, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.open[p] == nil {
		return c, false
	}
	c, ok, err := m.open[p].Reopen().Checkpoint()
	return c, ok && err == nil
}

// TestRestoreTellsHowFarItIs while it waits for the changelog's end.
func TestRestoreTellsHowFarItIs(t *testing.T) {
	play(t, func(s *scene) {
		s.filled()
		s.stores.lose()
		held := make(chan struct{})
		s.stores.interrupt = func(int) error { <-held; return nil }
		p := s.start(func(c *setup) { c.processor.RestorePiece, c.deliver = 3, false })
		s.until("a restore tells", func() bool {
			for _, part := range p.proc.Status() {
				if part.Restore != nil && part.Restore.Remaining > 0 {
					return true
				}
			}
			return false
		})
		if p.proc.Metrics.RestoreRemaining.Load() == 0 {
			t.Error("nothing remains to be restored, says the sum")
		}
		close(held)
		s.settle(p)
		if n := p.proc.Metrics.RestoreRemaining.Load(); n != 0 {
			t.Errorf("%d records remain after all", n)
		}
	})
}
