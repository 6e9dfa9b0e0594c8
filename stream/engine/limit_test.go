package engine_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/engine"
)

// calling notes when calls are made, and answers the one numbered so with a failure.
func (s *scene) calling(fail func(n int) error) *[]time.Time {
	at := new([]time.Time)
	s.op.fail = func([]stream.Value) error {
		s.op.mu.Lock()
		defer s.op.mu.Unlock()
		*at = append(*at, time.Now())
		if fail != nil {
			return fail(len(*at))
		}
		return nil
	}
	return at
}

func words(n int) (all []write) {
	for i := range n {
		all = append(all, write{fmt.Sprint("d", i), fmt.Sprintf("title=T body=word%d", i)})
	}
	return all
}

// A declared rate holds for all calls of a model, however many wait; a replica takes its part by the partitions that it owns.
func TestRate(t *testing.T) {
	for _, c := range []struct {
		owned, all int
		gap        time.Duration
	}{{0, 0, 100 * time.Millisecond}, {8, 8, 100 * time.Millisecond}, {2, 8, 400 * time.Millisecond}, {0, 8, 800 * time.Millisecond}} {
		inTime(t, func(t *testing.T, s *scene, p *part) {
			s.op.batch = 1
			s.program.shout.Rate, s.program.shout.Limit = 10, "small"
			if c.all > 0 {
				s.ev.Share(c.owned, c.all)
			}
			at := s.calling(nil)
			s.must(t, p, words(30)...)
			s.finish(t, p, time.Minute)
			for i := 1; i < len(*at); i++ {
				if gap := (*at)[i].Sub((*at)[i-1]); gap < c.gap || gap > c.gap+time.Millisecond {
					t.Errorf("%d of %d partitions: call %d came after %v, want %v", c.owned, c.all, i, gap, c.gap)
				}
			}
			if len(*at) != 30 {
				t.Errorf("%d calls, want 30", len(*at))
			}
		})
	}
}

// A server that throttles is left alone by all calls for as long as it asks; then calls come at half the rate, and at more from
// second to second.
func TestThrottlingSlowsDown(t *testing.T) {
	inTime(t, func(t *testing.T, s *scene, p *part) {
		s.op.batch = 1
		s.program.shout.Rate, s.program.shout.Limit = 10, "small"
		at := s.calling(func(n int) error {
			if n == 20 {
				return &stream.Error{Op: "shout", Kind: stream.Throttled, RetryAfter: 10 * time.Second}
			}
			return nil
		})
		s.must(t, p, words(200)...)
		s.finish(t, p, 2*time.Minute)
		gap := func(i int) time.Duration { return (*at)[i].Sub((*at)[i-1]) }
		if d := gap(20); d < 10*time.Second || d > 10*time.Second+200*time.Millisecond {
			t.Errorf("the next call came after %v", d)
		}
		if d := gap(21); d < 199*time.Millisecond {
			t.Errorf("and the one after it after %v", d)
		}
		for i := 22; i < len(*at); i++ {
			if gap(i) > gap(i-1) {
				t.Errorf("call %d came after %v, the one before after %v: slower, and nobody throttled", i, gap(i), gap(i-1))
			}
		}
		if d := gap(len(*at) - 1); d > 101*time.Millisecond {
			t.Errorf("in the end calls come every %v", d)
		}
		if slow := (*at)[100].Sub((*at)[20]); slow < 9*time.Second {
			t.Errorf("the rate grew back at once: 80 calls in %v", slow)
		}
	})
}

// Without a declared rate, all calls of the node wait for as long as the server asks.
func TestRetryAfterHoldsForAll(t *testing.T) {
	inTime(t, func(t *testing.T, s *scene, p *part) {
		s.op.batch = 1
		at := s.calling(func(n int) error {
			if n == 1 {
				return &stream.Error{Op: "shout", Kind: stream.Throttled, RetryAfter: 20 * time.Second}
			}
			return nil
		})
		s.must(t, p, words(1)...)
		s.must(t, p, words(9)...)
		s.finish(t, p, time.Minute)
		if d := (*at)[1].Sub((*at)[0]); d < 20*time.Second || len(*at) != 10 {
			t.Errorf("%d calls, the second %v after the first", len(*at), d)
		}
	})
}

// twice is a program of two nodes of one model.
type twice struct {
	*book
	second *stream.Node
}

func (b twice) Evaluate(ctx context.Context, d stream.Document, calls stream.Calls) ([]stream.Row, error) {
	if _, err := calls.Call(ctx, b.second, distinct(d.Input.Field("body").Str())); err != nil {
		return nil, err
	}
	return b.book.Evaluate(ctx, d, calls)
}

// Nodes of one model keep its rate together.
func TestNodesShareARate(t *testing.T) {
	inTime(t, func(t *testing.T, s *scene, p *part) {
		s.op.batch = 1
		first := s.program.shout
		first.Rate, first.Limit = 10, "small"
		second := &stream.Node{Name: "second", Operator: s.op, Costly: true, Memo: stream.FingerprintBytes([]byte("second")), Rate: 10, Limit: "small"}
		s.ev = engine.NewEvaluator(s.ctx, twice{s.program, second}, s.totals, s.events)
		at := s.calling(nil)
		s.must(t, p, words(20)...)
		s.finish(t, p, time.Minute)
		if took := (*at)[len(*at)-1].Sub((*at)[0]); len(*at) != 40 || took != 39*100*time.Millisecond {
			t.Errorf("%d calls within %v, want 40, one every 100ms", len(*at), took)
		}
	})
}

// Calls that were under way when the first one was throttled halve the rate once together.
func TestThrottledTogether(t *testing.T) {
	inTime(t, func(t *testing.T, s *scene, p *part) {
		s.op.batch = 1
		s.program.shout.Rate, s.program.shout.Limit = 10, "small"
		at := s.calling(nil)
		note := s.op.fail
		var calls atomic.Int64
		s.op.fail = func(in []stream.Value) error {
			_ = note(in)
			n := calls.Add(1)
			<-time.After(350 * time.Millisecond) // four are under way
			if n <= 4 {
				return &stream.Error{Op: "shout", Kind: stream.Throttled}
			}
			return nil
		}
		s.must(t, p, words(12)...)
		s.finish(t, p, time.Minute)
		if took := (*at)[11].Sub((*at)[4]); took > 1500*time.Millisecond {
			t.Errorf("seven calls later %v had passed: the rate was halved more than once", took)
		}
	})
}
