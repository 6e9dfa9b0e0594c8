package engine_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/engine"
)

// retention of memos, where a scene has one. Its clock shows a nanosecond more each time that it is read.
const retention = 1000

// collecting runs a script whose memos don't stay for ever.
func collecting(t *testing.T, script func(t *testing.T, s *scene, p *part)) {
	t.Helper()
	inBubble(t, func(t *testing.T, s *scene, p *part) {
		s.retention = retention
		if err := s.restart(false); err != nil {
			t.Fatal(err)
		}
		script(t, s, p)
	})
}

// sweepAll commits transactions that collect, a slice of use records each, until a whole sweep has found nothing.
func (s *scene) sweepAll(p *part, slice int) error {
	defer func() { s.sweep = 0 }()
	for range 500 {
		s.sweep, s.now = slice, s.now+retention/8+1
		before := s.totals.Snapshot().Collected
		for range p.count('u')/int64(slice) + 1 {
			if _, err := s.commit(p, nil, 0); err != nil {
				return err
			}
		}
		if s.totals.Snapshot().Collected == before {
			return s.noneOutlived(p)
		}
	}
	return fmt.Errorf("sweeps find memos again and again")
}

// noneOutlived: a sweep has left no memo that no document has used for the retention; the clock of a test moves on while it runs.
func (s *scene) noneOutlived(p *part) error {
	return p.store.Scan([]byte{'u'}, nil, func(k, v []byte) (bool, error) {
		use, err := useOf(v)
		if err == nil && use.Count == 0 && s.clockNow()-use.Unused > retention+retention/4 {
			err = fmt.Errorf("memo %x has not been used for %d, and is still there", k[1:], s.clockNow()-use.Unused)
		}
		return true, err
	})
}

// TestMemosAreCollected: a revert within the retention computes nothing; after it, the results that went are computed once.
func TestMemosAreCollected(t *testing.T) {
	collecting(t, func(t *testing.T, s *scene, p *part) {
		s.must(t, p, write{"a", "title=A body=red,green"}, write{"b", "title=B body=green"})
		s.must(t, p, write{"a", "title=A body=blue"})
		s.now += retention / 2
		s.sweep = 10
		if out := s.must(t, p); len(out.Entries) > 0 {
			t.Errorf("within the retention a sweep writes %d entries", len(out.Entries))
		}
		s.must(t, p, write{"a", "title=A body=red,green"})
		s.wantNode(t, 3, 3) // green of b, then both
		s.must(t, p, write{"a", "title=A body=blue"})
		s.now += 2 * retention
		out := s.must(t, p) // red: it found what was there when the transaction began
		s.must(t, p, write{"b", "title=B body=green note=x"})
		gone := 0
		for _, e := range out.Entries {
			if e.Value == nil {
				gone++
			}
		}
		if gone != 2 || out.Counts.Collected != 1 || out.Stats.Contents.Unused.Count != 0 || out.Stats.Contents.Memos.Count != 2 {
			t.Errorf("%d tombstones, %d collected, %+v; want a memo and its use record, and two memos left", gone, out.Counts.Collected, out.Stats.Contents)
		}
		before := s.op.calls()
		s.must(t, p, write{"a", "title=A body=red,green"})
		s.must(t, p, write{"c", "title=C body=red"})
		if n := s.op.calls() - before; n != 1 {
			t.Errorf("%d words were computed after the collection, want red alone", n)
		}
	})
}

// TestSweepWaits: a sweep begins an eighth of the retention after the one before, and is late after another.
func TestSweepWaits(t *testing.T) {
	collecting(t, func(t *testing.T, s *scene, p *part) {
		step := func(on int64, found, late bool) {
			t.Helper()
			s.now += on
			if is := p.engine.SweepLate(); is != late {
				t.Errorf("late: %t, want %t", is, late)
			}
			is, err := p.engine.Sweep(2)
			if is != found || err != nil {
				t.Errorf("found: %t (%v), want %t", is, err, found)
			}
		}
		s.must(t, p, write{"a", "title=A body=red,green,blue"})
		step(2*retention, false, false) // every memo is used
		s.must(t, p, write{"a", "title=A body=red,green"})
		step(retention-20, false, true) // the first that there is; two of three
		step(1, false, true)            // the third: none is too old
		step(50, false, false)          // blue is, but the next sweep is not due
		step(50, false, false)
		step(30, true, false)
		step(1, true, false) // until it is collected
		s.sweep = 2
		if out := s.must(t, p); out.Counts.Collected != 1 {
			t.Errorf("%d memos are collected", out.Counts.Collected)
		}
		s.sweep = 0
		s.must(t, p, write{"a", "title=A body=red"})
		step(retention-50, false, true) // the second sweep goes on behind blue
	})
}

// TestMemoIsUsedAgain between the moment when a sweep finds it and the transaction that would delete it: it stays.
func TestMemoIsUsedAgain(t *testing.T) {
	for name, again := range map[string]func(t *testing.T, s *scene, p *part){
		"in the same transaction": func(t *testing.T, s *scene, p *part) {
			s.sweep = 10
			s.must(t, p, write{"b", "title=B body=red"})
		},
		"in one before": func(t *testing.T, s *scene, p *part) {
			if found, err := p.engine.Sweep(10); !found || err != nil {
				t.Fatalf("found %t, %v", found, err)
			}
			s.must(t, p, write{"b", "title=B body=red"})
			s.sweep = 10
			s.must(t, p)
		},
		"and left again": func(t *testing.T, s *scene, p *part) {
			if found, err := p.engine.Sweep(10); !found || err != nil {
				t.Fatalf("found %t, %v", found, err)
			}
			s.must(t, p, write{"b", "title=B body=red"})
			s.must(t, p, write{"b", "title=B body="})
			s.sweep = 10
			s.must(t, p)
		},
	} {
		t.Run(name, func(t *testing.T) {
			collecting(t, func(t *testing.T, s *scene, p *part) {
				s.must(t, p, write{"a", "title=A body=red"})
				s.must(t, p, write{"a", "title=A body="})
				s.now += 2 * retention
				again(t, s, p)
				if n := s.totals.Snapshot().Collected; n != 0 || p.count('m') != 1 {
					t.Errorf("%d memos are collected, %d are left", n, p.count('m'))
				}
				s.must(t, p, write{"c", "title=C body=red"})
				s.wantCalls(t, "red", 1)
			})
		})
	}
}

// TestMemoGoesWhileItIsInHand: an evaluation that found a memo before it was collected brings it back.
func TestMemoGoesWhileItIsInHand(t *testing.T) {
	collecting(t, func(t *testing.T, s *scene, p *part) {
		s.must(t, p, write{"a", "title=A body=red"})
		s.must(t, p, write{"a", "title=A body="})
		s.now += 2 * retention
		s.must(t, p, write{"b", "title=B body=red,slow1"}) // pending: it has found red
		s.sweep = 10
		if out := s.must(t, p); out.Counts.Collected != 1 {
			t.Fatalf("%d memos are collected beside an evaluation", out.Counts.Collected)
		}
		s.sweep = 0
		s.op.release("slow1")
		if err := s.drain(p, 5); err != nil {
			t.Fatal(err)
		}
		if got := p.table("book/b"); got != `pages="B" words red="RED" words slow1="SLOW1"` {
			t.Error(got)
		}
		s.must(t, p, write{"c", "title=C body=red"})
		s.wantCalls(t, "red", 1)
	})
}

// TestCollectionIsAborted: what was found is still to be collected; a crash forgets it, and it is found again.
func TestCollectionIsAborted(t *testing.T) {
	for name, cut := range map[string]func(s *scene, p *part) error{
		"aborted": func(s *scene, p *part) error { return s.abort(p, nil, false) },
		"killed": func(s *scene, p *part) error {
			if found, err := p.engine.Sweep(10); !found {
				return fmt.Errorf("nothing is found: %w", err)
			}
			return s.restart(false)
		},
	} {
		t.Run(name, func(t *testing.T) {
			collecting(t, func(t *testing.T, s *scene, p *part) {
				s.must(t, p, write{"a", "title=A body=red"})
				s.must(t, p, write{"a", "-"})
				s.now += 2 * retention
				s.sweep = 10
				if err := cut(s, p); err != nil {
					t.Fatal(err)
				}
				if p.count('m') != 1 {
					t.Fatal("the memo went without a commit")
				}
				if out := s.must(t, p); out.Counts.Collected != 1 || p.count('m')+p.count('u') != 0 {
					t.Errorf("%d memos are collected, %d left", out.Counts.Collected, p.count('m'))
				}
			})
		})
	}
}

// TestMemosStayForEver where the flow says so.
func TestMemosStayForEver(t *testing.T) {
	inBubble(t, func(t *testing.T, s *scene, p *part) {
		s.must(t, p, write{"a", "title=A body=red"})
		s.must(t, p, write{"a", "-"})
		s.now += int64(1000 * time.Hour)
		if found, err := p.engine.Sweep(10); found || err != nil || p.engine.SweepLate() {
			t.Errorf("found %t, late %t, %v", found, p.engine.SweepLate(), err)
		}
	})
}

// TestCopyOutlivesTheOriginal: a document that uses a memo of another partition keeps it when it is collected there.
func TestCopyOutlivesTheOriginal(t *testing.T) {
	collecting(t, func(t *testing.T, s *scene, p *part) {
		s.must(t, p, write{"a", "title=A body=red"})
		other, err := s.part(1)
		if err != nil {
			t.Fatal(err)
		}
		s.must(t, other, write{"b", "title=B body=red"})
		s.must(t, p, write{"a", "-"})
		s.now += 2 * retention
		if err := s.sweepAll(p, 2); err != nil {
			t.Fatal(err)
		}
		if err := s.sweepAll(other, 2); err != nil {
			t.Fatal(err)
		}
		if p.count('m') != 0 || other.count('m') != 1 {
			t.Errorf("%d and %d memos are left, want 0 and 1", p.count('m'), other.count('m'))
		}
		s.must(t, p, write{"a", "title=A body=red"})
		s.wantCalls(t, "red", 1)
	})
}

// TestDamagedUseRecord: a sweep that can't read the state says so.
func TestDamagedUseRecord(t *testing.T) {
	collecting(t, func(t *testing.T, s *scene, p *part) {
		s.must(t, p, write{"a", "title=A body=red"})
		s.must(t, p, write{"a", "-"})
		damaged := stream.StateEntry{Key: append([]byte{'u'}, make([]byte, 16)...), Value: []byte{0xff}}
		if err := p.store.Apply([]stream.StateEntry{damaged}, stream.Checkpoint{Format: engine.FormatVersion}); err != nil {
			t.Fatal(err)
		}
		if _, err := p.engine.Sweep(10); err == nil {
			t.Error("it goes on")
		}
	})
}
