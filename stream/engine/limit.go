package engine

import (
	"context"
	"errors"
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
	cut    time.Time // when the part was halved last
	raised time.Time
}

func newLimiter(rate float64, s *share) *limiter { return &limiter{rate: rate, share: s, part: 1} }

// wait returns when the next call may be sent, or with ctx.
func (l *limiter) wait(ctx context.Context) {
	for {
		l.mu.Lock()
		now := time.Now()
		d := l.next.Sub(now)
		if d <= 0 && l.rate > 0 {
			l.next = now.Add(time.Duration(float64(time.Second) / (l.share.of(l.rate) * l.part)))
		}
		l.mu.Unlock()
		if d <= 0 {
			return
		}
		t := time.NewTimer(d)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return
		}
	}
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
