package engine

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/freshet-dev/freshet/stream"
)

const (
	firstBackoff = 100 * time.Millisecond
	maxBackoff   = 30 * time.Second
	attempts     = 6 // calls that an input gets in one evaluation of its document
)

// spent is the failure of an input whose attempts are used up: the documents that asked for it are parked. It says no more of
// its cause than the text, so that no cancelled request in it is taken for a cancelled evaluation.
type spent struct {
	outage string // the node that was out, so that no document is to blame; "": others succeeded
	ends   int64  // outages of the node that had ended by then
	cause  *stream.Error
}

func (s *spent) Error() string { return s.cause.Error() }

// Unwrap says that the class is Transient.
func (s *spent) Unwrap() error { return s.cause }

// health is what a node's calls say of the operator; the batcher's mu guards it.
type health struct {
	successes int64
	probe     *call // while nothing succeeds, the one that goes on in place; it may have ended
	troubled  bool  // a call failed since the last success
	outage    bool  // documents were parked since the last success, by an outage
}

// succeeded notes that the operator answered.
func (b *batcher) succeeded() {
	b.mu.Lock()
	h := &b.health
	recovered := h.troubled
	if h.outage || h.successes == 0 { // of an outage that began before this process, nobody else knows
		b.memos.endOutage(b.node.Name)
	}
	h.successes++
	h.troubled, h.outage = false, false
	b.mu.Unlock()
	if recovered && b.memos.events.Recovered != nil {
		b.memos.events.Recovered(b.node.Name)
	}
}

// spend counts a failed attempt of each call, and reports whether it is one: being throttled or unauthorised says nothing of
// an input.
func (b *batcher) spend(batch []*call, err error) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.health.troubled = true
	if kind := stream.KindOf(err); kind == stream.Throttled || kind == stream.Unauthorised {
		return false
	}
	for _, c := range batch {
		if c.failed++; c.failed < attempts {
			c.since = b.health.successes
		}
	}
	return true
}

func (c *call) isSpent() bool { return c.failed >= attempts }

// again has a failed batch tried again. Once its attempts are used up, one of its inputs may be the cause, though the operator
// does not say so: it is halved as if it did, unless the operator answers nobody.
func (b *batcher) again(batch []*call, err error, wait *time.Duration) []*call {
	left := batch
	if b.spend(batch, err) {
		if len(batch) > 1 && slices.ContainsFunc(batch, (*call).isSpent) && b.mayDiffer(batch) {
			return b.halve(batch, wait)
		}
		left = b.park(batch, err)
	}
	if len(left) > 0 {
		b.waitOut(left, err, wait, suspects(err))
	}
	return left
}

// mayDiffer reports whether parts of a batch may fare better than the whole. Of a node that is out only the probe finds out.
func (b *batcher) mayDiffer(batch []*call) bool {
	outage, probe := b.out(batch)
	if !outage {
		for _, c := range batch {
			c.since = blamed
		}
	}
	return !outage || probe
}

// blamed is the mark of calls whose batch failed while others succeeded.
const blamed = -1

// out reports whether the node is out: no call of it succeeded since the last attempts of these. While it is, one call is the probe.
func (b *batcher) out(batch []*call) (outage, probe bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	h := &b.health
	for _, c := range batch {
		if c.since != h.successes {
			return false, false
		}
	}
	if h.probe == nil || h.probe.ended() {
		h.probe = batch[0]
	}
	return true, slices.Contains(batch, h.probe)
}

// park ends the calls whose attempts are used up, and returns the others. While the node is out, one call goes on in place: it is the
// probe by which the end of the outage is noticed.
func (b *batcher) park(batch []*call, err error) (left []*call) {
	for _, c := range batch {
		if !c.isSpent() {
			left = append(left, c)
			continue
		}
		outage, probe := b.out([]*call{c})
		switch {
		case probe:
			left = append(left, c)
		case outage:
			b.memos.finish(c, stream.Value{}, &spent{outage: b.node.Name, ends: b.parkedByOutage(), cause: transient(err)})
		default:
			b.memos.finish(c, stream.Value{}, &spent{cause: transient(err)})
		}
	}
	return left
}

// parkedByOutage notes that documents wait for the end of an outage, and returns how many have ended.
func (b *batcher) parkedByOutage() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.health.outage = true
	return b.memos.outagesEnded(b.node.Name)
}

// transient is the first error that says what was being done, without what lies below it but the text.
func transient(err error) *stream.Error {
	out := &stream.Error{Op: "run an operator", Kind: stream.Transient, RetryAfter: retryAfter(err)}
	var e *stream.Error
	if errors.As(err, &e) {
		out.Op, err = e.Op, e.Err
	}
	if err != nil {
		out.Err = errors.New(err.Error())
	}
	return out
}

// waitOut pauses after a failure, each time twice as long. Where the inputs are the cause, others have the slot meanwhile,
// and those of the documents that wait; where the operator is, more calls would not help it.
func (b *batcher) waitOut(batch []*call, err error, wait *time.Duration, yield bool) {
	pause := max(jitter(*wait), retryAfter(err))
	if b.memos.events.Retrying != nil {
		b.memos.events.Retrying(b.node.Name, err, pause)
	}
	*wait = min(2**wait, maxBackoff)
	if yield {
		b.memos.holdBack(batch)
		<-b.slots
		defer func() { b.slots <- struct{}{} }()
	}
	b.pause(pause)
}

func retryAfter(err error) time.Duration {
	var e *stream.Error
	if errors.As(err, &e) {
		return e.RetryAfter
	}
	return 0
}

// suspects reports whether one of a call's inputs may be the cause of what is to be tried again.
func suspects(err error) bool {
	var e *stream.Error
	return errors.As(err, &e) && e.Suspect && retriable(err)
}

// retriable: also a refused credential, which an operator reads again at each call, so that a rotated one heals it.
func retriable(err error) bool {
	if err == nil {
		return false
	}
	switch stream.KindOf(err) {
	case stream.Transient, stream.Throttled, stream.Unauthorised:
		return true
	}
	return errors.Is(err, context.DeadlineExceeded)
}

func (b *batcher) pause(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-b.memos.ctx.Done():
	}
}

func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d) }
