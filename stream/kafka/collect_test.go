package kafka_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// ageing is an option that makes memos stay for an hour, by a clock that is moved on with pass.
type ageing struct{ on atomic.Int64 }

func (a *ageing) pass(d time.Duration) { a.on.Add(int64(d)) }

func (a *ageing) option(c *setup) {
	c.retention = time.Hour
	c.now = func() time.Time { return time.Now().Add(time.Duration(a.on.Load())) }
}

// unused returns how many memos the states hold that no document uses.
func unused(all ...*process) int64 {
	if c := sum(all...).Contents; c != nil {
		return c.Unused.Count
	}
	return -1
}

// left writes files, and edits them so that memos are left without a use. It returns how many.
func (s *scene) left(p *process) int64 {
	s.Helper()
	for i, path := range paths(9) {
		s.write(path, fmt.Sprintf("line\nfirst of %d", i))
	}
	s.settle(p)
	for i, path := range paths(9) {
		s.write(path, fmt.Sprintf("line\nthen of %d", i))
	}
	s.settle(p)
	return 9
}

// restoresTo compares the stores of a machine with what a restore from the changelog gives, after all processes were stopped.
func (s *scene) restoresTo(live *memoryStores) {
	s.Helper()
	restored := newStores()
	p := s.start(replica(restored, ""), func(c *setup) { c.deliver = false })
	s.settle(p)
	s.end(p)
	for id := range live.open {
		if got, want := entriesOf(s, restored, id), entriesOf(s, live, id); got != want {
			s.Errorf("partition %d was restored as\n%s\nwhere the live one is\n%s", id, got, want)
		}
	}
}

func entriesOf(s *scene, stores *memoryStores, partition int32) string {
	var b strings.Builder
	store, err := stores.Open(partition)
	if err == nil {
		err = store.Scan(nil, nil, func(k, v []byte) (bool, error) {
			fmt.Fprintf(&b, "%x=%x\n", k, v)
			return true, nil
		})
	}
	if err != nil {
		s.Fatal(err)
	}
	return b.String()
}

// TestMemosAreCollected: those that no document has used for the retention go, without a change that comes, in transactions that end with
// progress as all do; what restores from the changelog has none of them.
func TestMemosAreCollected(t *testing.T) {
	play(t, func(s *scene) {
		var clock ageing
		p := s.start(clock.option)
		n := s.left(p)
		s.wait(10 * time.Second)
		if got := unused(p); got != n {
			t.Fatalf("%d memos are unused, want %d", got, n)
		}
		clock.pass(50 * time.Minute)
		s.wait(10 * time.Second)
		if got := unused(p); got != n {
			t.Fatalf("%d memos are unused within the retention, want %d", got, n)
		}
		clock.pass(20 * time.Minute)
		s.until("they are collected", func() bool { return unused(p) == 0 })
		if got := p.totals.Snapshot().Collected; got != n {
			t.Errorf("%d memos were collected, want %d", got, n)
		}
		before := p.totals.Snapshot().Nodes["shout"].Computed
		s.write("00.md", "line\nthen of 3") // is used, and so still there
		s.settle(p)
		if now := p.totals.Snapshot().Nodes["shout"].Computed; now != before {
			t.Errorf("%d lines were computed that are in use", now-before)
		}
		s.write("00.md", "line\nfirst of 0") // a revert after the collection, which no process remembers
		s.settle(p)
		if now := p.totals.Snapshot().Nodes["shout"].Computed; now != before+1 {
			t.Errorf("%d lines were computed after a late revert, want 1", now-before)
		}
		s.expect()
		s.consistent(p)
		s.end(p)
		gone := map[byte]int64{}
		last := map[int32][]byte{}
		for _, r := range s.records("lines.changelog", kgo.ReadCommitted()) {
			if last[r.Partition] = r.Key; r.Value == nil {
				gone[r.Key[0]]++
			}
		}
		if gone['m'] != n || gone['u'] != n {
			t.Errorf("%d memos and %d use records are deleted in the changelog, want %d each", gone['m'], gone['u'], n)
		}
		for id, key := range last {
			if key[0] != 0xff {
				t.Errorf("partition %d ends with the entry %q, want progress", id, key)
			}
		}
		s.restoresTo(s.stores)
	})
}

// TestCollectionIsCut kills a process on its way from the memos that it has found to the commit of their end. The next one goes on
// from its disk, and no memo that a document uses is gone.
func TestCollectionIsCut(t *testing.T) {
	t.Parallel()
	for _, point := range []string{"F1", "F5", "F7", "F10", "F11"} {
		t.Run(point, func(t *testing.T) {
			playReal(t, func(s *scene) {
				var clock ageing
				var first *process
				var disk *memoryStores
				var armed atomic.Bool
				killed := make(chan struct{})
				first = s.start(clock.option, func(c *setup) {
					c.processor.At = func(p string) {
						if p == point && armed.CompareAndSwap(true, false) {
							first.link.sever()
							disk = s.stores.clone()
							close(killed)
						}
					}
				})
				s.left(first)
				s.write("00.md", "line\nfirst of 0") // a revert: one of them is used again
				s.settle(first)
				armed.Store(true)
				clock.pass(2 * time.Hour)
				select {
				case <-killed:
				case <-time.After(soon):
					t.Fatal("never killed")
				}
				second := s.start(clock.option, replica(disk, ""), func(c *setup) { c.processor.TransactionalID = "lines.1" })
				s.until("they are collected", func() bool { return len(second.proc.Held()) == partitions && unused(second) == 0 })
				s.write("01.md", "line\nthen of 0\nthen of 2")
				s.write("00.md", "line")
				s.settle(second)
				s.expect()
				s.consistent(second)
				s.end(second)
				s.restoresTo(disk)
				first.link.restore()
				s.settle(first)
				s.expect()
				s.consistent(first)
				if n := first.totals.Snapshot().Collected + second.totals.Snapshot().Collected; n > 9 {
					t.Errorf("%d memos were collected, where 9 were unused", n)
				}
				s.end(first)
			})
		})
	}
}
