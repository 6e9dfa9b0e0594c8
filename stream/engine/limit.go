package engine

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/freshet-dev/freshet/stream"
)

// share is what of a flow's partitions this replica has, in billionths: of a declared rate it takes as much.
type share struct{ billionths atomic.Int64 }

func (s *share) set(owned, all int) {
	s.billionths.Store(int64(float64(max(1, owned)) / float64(max(1, owned, all)) * 1e9))
}

func (s *share) of(rate float64) float64 {
	if n := s.billionths.Load(); n > 0 {
		return rate * float64(n) / 1e9
	}
	return rate
}

// Share says how many of the flow's partitions this replica owns: it obeys that part of each declared rate, so that replicas keep
// a rate together without speaking to each other. It is safe for concurrent use.
func (e *Evaluator) Share(owned, all int) { e.memos.share.set(owned, all) }

const (
	raiseEvery = time.Second
	raiseBy    = 1.0 / 16
	leastPart  = 1.0 / 64
)

// limiter spaces the calls of all nodes of one model. A server that throttles calls stops them all for as long as it asks; where a
// rate is declared, it is halved (at most once for what was sent before), and grows back by steps.
type limiter struct {
	rate  float64 // calls per second by all replicas; 0: none is declared
	share *share

	mu     sync.Mutex
	part   float64   // of the replica's rate that is used
	next   time.Time // no call is sent before
	turns  []*turn   // of calls that wait
	cut    time.Time // when the part was halved last
	raised time.Time
}

func newLimiter(rate float64, s *share) *limiter { return &limiter{rate: rate, share: s, part: 1} }

// turn is a call's place among those that wait. behind says whether only the backlog needs it, and may turn false meanwhile.
type turn struct{ behind func() bool }

// wait returns when the call may be sent, or with ctx. Under a rate, calls that only the backlog needs let the others go first.
func (l *limiter) wait(ctx context.Context, behind func() bool) {
	mine := &turn{behind}
	for d := l.enter(mine); d > 0; d = l.try(mine) {
		t := time.NewTimer(d)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			l.mu.Lock()
			l.leave(mine)
			l.mu.Unlock()
			return
		}
	}
}

func (l *limiter) enter(mine *turn) time.Duration {
	l.mu.Lock()
	l.turns = append(l.turns, mine)
	l.mu.Unlock()
	return l.try(mine)
}

// leave ends a wait; l.mu is held.
func (l *limiter) leave(mine *turn) {
	i := slices.Index(l.turns, mine)
	l.turns = slices.Delete(l.turns, i, i+1)
}

// try takes the next turn if it has come, else it returns when to try again.
func (l *limiter) try(mine *turn) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if d := l.next.Sub(now); d > 0 {
		return d
	}
	if l.rate > 0 {
		gap := time.Duration(float64(time.Second) / (l.share.of(l.rate) * l.part))
		if mine.behind() && slices.ContainsFunc(l.turns, func(t *turn) bool { return !t.behind() }) {
			return gap // this turn is another's, who wakes now
		}
		l.next = now.Add(gap)
	}
	l.leave(mine)
	return 0
}

// tell notes how a call ended that was sent at a time.
func (l *limiter) tell(sent time.Time, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	err = throttling(err)
	switch {
	case err == nil:
		if l.part < 1 && now.Sub(l.raised) >= raiseEvery {
			l.part, l.raised = min(1, l.part+raiseBy), now
		}
	case stream.KindOf(err) == stream.Throttled:
		if !sent.Before(l.cut) {
			l.part, l.cut, l.raised = max(leastPart, l.part/2), now, now
		}
		if until := now.Add(retryAfter(err)); until.After(l.next) {
			l.next = until
		}
	}
}

// throttling is, of a batch of which some inputs were throttled, the failure that asks for the longest wait; else err itself.
func throttling(err error) error {
	var partial *stream.BatchError
	if !errors.As(err, &partial) {
		return err
	}
	for _, e := range partial.Failed {
		if stream.KindOf(e) == stream.Throttled && (stream.KindOf(err) != stream.Throttled || retryAfter(e) > retryAfter(err)) {
			err = e
		}
	}
	return err
}

// limiterOf returns the limiter that nodes of one model share; m.mu is held.
func (m *memos) limiterOf(n *stream.Node) *limiter {
	of := n.Limit
	if of == "" {
		of = "node " + n.Name
	}
	l := m.limiters[of]
	if l == nil {
		l = newLimiter(n.Rate, &m.share)
		m.limiters[of] = l
	}
	return l
}
