package engine_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/engine"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// inBubble runs a scene in virtual time and stops it in the end; goroutines left would make the bubble fail.
func inBubble(t *testing.T, script func(t *testing.T, s *scene, p *part)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := newScene()
		s.start()
		defer s.stop()
		p, err := s.part(0)
		if err != nil {
			t.Fatal(err)
		}
		script(t, s, p)
	})
}

func (s *scene) must(t *testing.T, p *part, writes ...write) *engine.Output {
	t.Helper()
	out, err := s.commit(p, writes, 16)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (s *scene) wantNode(t *testing.T, computed, reused int64) {
	t.Helper()
	if n := s.totals.Snapshot().Nodes["shout"]; n.Computed != computed || n.Reused != reused || int64(s.op.calls()) != computed {
		t.Errorf("computed %d, reused %d, words in calls %d; want %d, %d, %d", n.Computed, n.Reused, s.op.calls(), computed, reused, computed)
	}
}

func TestMemosAreReused(t *testing.T) {
	inBubble(t, func(t *testing.T, s *scene, p *part) {
		s.must(t, p, write{"a", "title=A body=red,green,blue"})
		s.wantNode(t, 3, 0)
		s.must(t, p, write{"a", "title=A body=red,green,white"}) // within the document
		s.wantNode(t, 4, 2)
		s.must(t, p, write{"b", "title=B body=green,white"}) // across documents
		s.wantNode(t, 4, 4)
		s.must(t, p, write{"a", "title=A body=red,green,blue"}) // a revert
		s.wantNode(t, 4, 7)
		s.must(t, p, write{"a", "-"})
		s.must(t, p, write{"a", "title=A body=blue"}) // from a memo that no document used
		s.wantNode(t, 4, 8)
	})
}

func TestMemosAreReusedAcrossPartitions(t *testing.T) {
	inBubble(t, func(t *testing.T, s *scene, p *part) {
		s.must(t, p, write{"a", "title=A body=red,green"})
		if err := s.restart(false); err != nil { // so that only stores remember
			t.Fatal(err)
		}
		other, err := s.part(1)
		if err != nil {
			t.Fatal(err)
		}
		before := s.op.calls()
		s.must(t, other, write{"b", "title=B body=red,green"})
		if n := s.op.calls() - before; n != 0 {
			t.Errorf("%d words computed again, want 0: another partition holds them", n)
		}
		if other.count('m') != 2 {
			t.Errorf("partition 1 holds %d memos, want copies of both", other.count('m'))
		}
		p.release()
		s.must(t, other, write{"c", "title=C body=red,green"}) // its own copies
		if n := s.op.calls() - before; n != 0 {
			t.Errorf("%d words computed again after the other partition went, want 0", n)
		}
	})
}

func TestReleasedStoresAreNotRead(t *testing.T) {
	inBubble(t, func(t *testing.T, s *scene, p *part) {
		s.must(t, p, write{"a", "title=A body=red"})
		if err := s.restart(false); err != nil {
			t.Fatal(err)
		}
		p.release()
		if err := p.store.Close(); err != nil {
			t.Fatal(err)
		}
		other, err := s.part(1)
		if err != nil {
			t.Fatal(err)
		}
		s.must(t, other, write{"b", "title=B body=red"}) // an error if it read the closed store
		s.wantCalls(t, "red", 2)
		delete(s.parts, 0)
	})
}

func (s *scene) wantCalls(t *testing.T, word string, n int) {
	t.Helper()
	s.op.mu.Lock()
	defer s.op.mu.Unlock()
	if s.op.seen[word] != n {
		t.Errorf("%q was given to the operator %d times, want %d", word, s.op.seen[word], n)
	}
}

func TestEqualInputsInFlightAreComputedOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, s *scene, p *part) {
		out := s.must(t, p, write{"a", "title=A body=slow1"}, write{"b", "title=B body=slow1"}, write{"c", "title=C body=red,slow1"})
		if out.Stats.Pending != 3 {
			t.Errorf("%d documents pending, want 3", out.Stats.Pending)
		}
		s.op.release("slow1")
		if err := s.drain(p, 5); err != nil {
			t.Fatal(err)
		}
		s.wantNode(t, 2, 2)
		if got := p.table("book/c"); got != `pages="C" words red="RED" words slow1="SLOW1"` {
			t.Error(got)
		}
	})
}

// A refused element is isolated by halving the batch; the documents of the others go on.
func TestBatchesAreHalved(t *testing.T) {
	inBubble(t, func(t *testing.T, s *scene, p *part) {
		s.op.batch = 8
		var writes []write
		for i := range 7 {
			writes = append(writes, write{fmt.Sprint("d", i), fmt.Sprintf("title=T body=word%d", i)})
		}
		writes = append(writes, write{"bad", "title=T body=bad"})
		out := s.must(t, p, writes...)
		if out.Counts.Applied != 7 || out.Counts.Quarantined != 1 {
			t.Errorf("%+v, want 7 applied and 1 quarantined", out.Counts)
		}
		if want := []int{8, 4, 4, 2, 2, 1, 1}; !slices.Equal(sorted(s.op.sizes), sorted(want)) {
			t.Errorf("calls of sizes %v, want %v", s.op.sizes, want)
		}
		h, _, err := engine.FindDocument(p.store, "book/bad")
		if err != nil || h.Reason != `shout: "bad" is not allowed` {
			t.Errorf("reason %q, %v", h.Reason, err)
		}
	})
}

// Inputs that keep failing and may be the cause are found by halving, and hold back no others, however many they are.
func TestSuspectsHoldBackNobody(t *testing.T) {
	inBubble(t, func(t *testing.T, s *scene, p *part) {
		s.op.batch = 8
		var mended atomic.Bool
		s.op.fail = func(in []stream.Value) error {
			if mended.Load() || !slices.ContainsFunc(in, func(v stream.Value) bool { return strings.Contains(v.Str(), "poison") }) {
				return nil
			}
			return &stream.Error{Op: "shout", Kind: stream.Transient, Suspect: true}
		}
		var writes []write
		many := 20 * runtime.GOMAXPROCS(0) // more than evaluations at a time
		for i := range many {
			writes = append(writes, write{fmt.Sprint("p", i), fmt.Sprintf("title=T body=poison%d", i)}, write{fmt.Sprint("d", i), fmt.Sprintf("title=T body=word%d", i)})
		}
		out := s.must(t, p, writes...)
		if int(out.Counts.Applied) != many || int(out.Stats.Pending) != many {
			t.Errorf("%+v, %d pending; want %d applied and %[3]d pending", out.Counts, out.Stats.Pending, many)
		}
		out = s.must(t, p, write{"later", "title=T body=later"})
		if out.Counts.Applied != 1 {
			t.Errorf("%+v: a later document waits for others' failures", out.Counts)
		}
		mended.Store(true)
		if err := s.drain(p, 1000); err != nil {
			t.Fatal(err)
		}
		if got := p.table("book/p5"); got != `pages="T" words poison5="POISON5"` {
			t.Error(got)
		}
	})
}

func sorted(n []int) []int { return slices.Sorted(slices.Values(n)) }

// namer fails with a BatchError that names the elements; there is one call only.
type namer struct{ *shouter }

func (n namer) Apply(ctx context.Context, in []stream.Value) ([]stream.Value, error) {
	n.note(in)
	out, failed := make([]stream.Value, len(in)), map[int]error{}
	for i, v := range in {
		out[i] = stream.StringOf(strings.ToUpper(v.Str()))
		if strings.Contains(v.Str(), "bad") {
			failed[i] = stream.Errorf(stream.Invalid, "name", "%q", v.Str())
		}
	}
	return out, &stream.BatchError{Failed: failed}
}

func TestBatchErrorsNameElements(t *testing.T) {
	inBubble(t, func(t *testing.T, s *scene, p *part) {
		s.program.shout.Operator = namer{s.op}
		out := s.must(t, p, write{"a", "body=red,bad1"}, write{"b", "body=green"}, write{"c", "body=bad2"})
		if out.Counts.Applied != 1 || out.Counts.Quarantined != 2 || len(s.op.sizes) != 1 {
			t.Errorf("%+v in calls of %v, want 1 applied, 2 quarantined, 1 call", out.Counts, s.op.sizes)
		}
	})
}

type cheap struct{ outputs int }

func (c cheap) Apply(context.Context, []stream.Value) ([]stream.Value, error) {
	return make([]stream.Value, c.outputs), nil
}

// An operator that breaks its contract stops the partition: it is nobody's document's fault.
func TestMiscountingOperatorsStopThePartition(t *testing.T) {
	for _, costly := range []bool{true, false} {
		inBubble(t, func(t *testing.T, s *scene, p *part) {
			s.program.shout.Operator, s.program.shout.Costly = cheap{3}, costly
			_, err := s.commit(p, []write{{"a", "body=red,green"}}, 0)
			if err == nil || stream.KindOf(err) != stream.Internal {
				t.Errorf("costly %t: %v, want an internal error", costly, err)
			}
		})
	}
}

func TestTransientFailuresAreRetriedWithBackoff(t *testing.T) {
	inBubble(t, func(t *testing.T, s *scene, p *part) {
		var at []time.Duration
		began := time.Now()
		s.op.fail = func([]stream.Value) error {
			at = append(at, time.Since(began))
			if len(at) <= 12 {
				return stream.Errorf(stream.Transient, "shout", "refused")
			}
			return nil
		}
		out := s.must(t, p, write{"a", "title=A body=red"})
		if out.Stats.Pending != 1 || out.Counts.Quarantined != 0 {
			t.Errorf("after the budget: %+v", out.Stats)
		}
		if err := s.drain(p, 1000); err != nil {
			t.Fatal(err)
		}
		if len(at) != 13 || p.table("book/a") == "" {
			t.Fatalf("%d calls, want 13; rows %s", len(at), p.table("book/a"))
		}
		wait := 100 * time.Millisecond
		for i := 1; i < len(at); i++ {
			if gap := at[i] - at[i-1]; gap < wait/2 || gap > wait*3/2 {
				t.Errorf("call %d came after %v, want about %v", i, gap, wait)
			}
			wait = min(2*wait, 30*time.Second)
		}
	})
}

func TestThrottlingIsHonoured(t *testing.T) {
	inBubble(t, func(t *testing.T, s *scene, p *part) {
		var at []time.Time
		s.op.fail = func([]stream.Value) error {
			at = append(at, time.Now())
			if len(at) > 1 {
				return nil
			}
			return &stream.Error{Op: "shout", Kind: stream.Throttled, RetryAfter: 42 * time.Second}
		}
		s.must(t, p, write{"a", "title=A body=red"})
		if err := s.drain(p, 100); err != nil {
			t.Fatal(err)
		}
		if len(at) != 2 || at[1].Sub(at[0]) != 42*time.Second {
			t.Errorf("calls at %v, want two, 42 s apart", at)
		}
	})
}

func TestEventsTellOfRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, told := newScene(), ""
		s.events = engine.Events{
			Retrying:  func(node string, err error, _ time.Duration) { told += fmt.Sprintf("%s: %v; ", node, err) },
			Recovered: func(node string) { told += node + " recovered" },
		}
		calls := 0
		s.op.fail = func([]stream.Value) error {
			if calls++; calls == 1 {
				return stream.Errorf(stream.Unauthorised, "shout", "expired")
			}
			return nil
		}
		s.start()
		defer s.stop()
		p, err := s.part(0)
		if err != nil {
			t.Fatal(err)
		}
		s.must(t, p, write{"a", "body=red"})
		if told != "shout: shout: expired; shout recovered" {
			t.Error(told)
		}
	})
}

// The end of a process is no failure: neither quarantine nor a stopped partition follows.
func TestShutdownIsNoFailure(t *testing.T) {
	for name, fail := range map[string]error{"waiting": nil, "retrying": stream.Errorf(stream.Transient, "shout", "refused")} {
		synctest.Test(t, func(t *testing.T) {
			s := newScene()
			s.op.fail = func([]stream.Value) error { return fail }
			s.start()
			p, err := s.part(0)
			if err != nil {
				t.Fatal(err)
			}
			tx, err := s.begin(p, []write{{"a", "body=slow1"}}, 0)
			if err != nil {
				t.Fatal(err)
			}
			s.cancel()
			synctest.Wait()
			for _, ev := range s.ev.Finished() {
				tx.Take(ev)
			}
			if err := tx.Failure(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if out, err := tx.Finish(); err != nil || out.Stats.Pending != 1 || out.Stats.Quarantined != 0 {
				t.Errorf("%s: %+v, %v; want the document pending", name, out, err)
			}
			s.stop()
		})
	}
}

// contexts remembers the contexts that evaluations ran under.
type contexts struct {
	*book
	seen *[]context.Context
}

func (c contexts) Evaluate(ctx context.Context, d stream.Document, calls stream.Calls) ([]stream.Row, error) {
	*c.seen = append(*c.seen, ctx)
	return c.book.Evaluate(ctx, d, calls)
}

func TestFinishedEvaluationsLetTheirContextGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene()
		s.start()
		defer s.stop()
		var seen []context.Context
		s.ev = engine.NewEvaluator(s.ctx, contexts{s.program, &seen}, s.totals, s.events)
		p, err := s.part(0)
		if err != nil {
			t.Fatal(err)
		}
		s.must(t, p, write{"a", "body=red"})
		if len(seen) != 1 || !errors.Is(seen[0].Err(), context.Canceled) || s.ctx.Err() != nil {
			t.Errorf("%d contexts; the first: %v", len(seen), seen[0].Err())
		}
	})
}
