package engine

import (
	"context"
	"errors"
	"math/rand/v2"
	"sort"
	"sync"
	"time"

	"github.com/freshet-dev/freshet/stream"
)

// Events are told of what people should know. Any field may be nil.
type Events struct {
	// Retrying says that a node's call failed and will be tried again after wait.
	Retrying func(node string, err error, wait time.Duration)
	// Recovered says that a node that was retrying works again.
	Recovered func(node string)
}

const (
	linger       = 2 * time.Millisecond // how long a batch that is not full waits for more
	parallel     = 4                    // calls of one node at a time, unless its operator says otherwise
	firstBackoff = 100 * time.Millisecond
	maxBackoff   = 30 * time.Second
)

// batcher gathers the inputs of one costly node, across documents, into calls of its operator.
type batcher struct {
	memos *memos
	node  *stream.Node
	size  int
	slots chan struct{}

	mu      sync.Mutex
	queue   []*call
	running bool
}

func newBatcher(m *memos, n *stream.Node) *batcher {
	return &batcher{memos: m, node: n, size: int(batchSize(n)), slots: make(chan struct{}, concurrency(n))}
}

// concurrency is how many calls of the node's operator run at a time.
func concurrency(n *stream.Node) int {
	if c, ok := n.Operator.(stream.Concurrent); ok {
		return max(1, c.Concurrency())
	}
	return parallel
}

// batchSize is how many inputs one call of the node's operator takes.
func batchSize(n *stream.Node) int64 {
	if s, ok := n.Operator.(stream.Batcher); ok {
		return int64(max(1, s.BatchSize()))
	}
	return 1
}

func (b *batcher) add(c *call) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.queue = append(b.queue, c)
	if !b.running {
		b.running = true
		b.memos.group.Add(1)
		go b.dispatch()
	}
}

// dispatch sends batches until the queue is empty.
func (b *batcher) dispatch() {
	defer b.memos.group.Done()
	for {
		if !b.full() {
			b.pause(linger)
		}
		batch := b.take()
		if batch == nil {
			return
		}
		b.slots <- struct{}{} // a slot always frees: sends end with the context at the latest
		b.memos.group.Add(1)
		go func() {
			defer b.memos.group.Done()
			defer func() { <-b.slots }()
			b.send(batch)
		}()
	}
}

func (b *batcher) full() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.queue) >= b.size
}

func (b *batcher) take() []*call {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := min(b.size, len(b.queue))
	if n == 0 {
		b.running = false
		return nil
	}
	batch := b.queue[:n:n]
	b.queue = b.queue[n:]
	return batch
}

// send calls the operator until it answers or the input is refused. What is transient stays pending with capped
// back-off; a batch with a refused element is halved until that element stands alone, and so is one of which an element
// is suspected.
func (b *batcher) send(batch []*call) {
	wait := firstBackoff
	for len(batch) > 0 {
		batch = b.sendOnce(batch, &wait)
	}
}

// sendOnce settles what it can and returns the elements that are to be sent again. wait is the next pause.
func (b *batcher) sendOnce(batch []*call, wait *time.Duration) (again []*call) {
	out, err := b.retry(batch, wait)
	var partial *stream.BatchError
	switch {
	case err == nil && len(out) != len(batch):
		b.fail(batch, miscounted(b.node, len(out), len(batch)))
	case err == nil:
		for i, c := range batch {
			b.memos.finish(c, out[i], nil)
		}
	case errors.As(err, &partial) && len(partial.Failed) > 0:
		return b.settlePartial(batch, out, partial, wait)
	case len(batch) > 1 && (stream.KindOf(err) == stream.Invalid || suspects(err)):
		b.apart(batch[len(batch)/2:])
		*wait = firstBackoff
		return batch[:len(batch)/2]
	default:
		b.fail(batch, err)
	}
	return nil
}

// apart sends a batch beside others, when a slot is free.
func (b *batcher) apart(batch []*call) {
	b.memos.group.Add(1)
	go func() {
		defer b.memos.group.Done()
		b.slots <- struct{}{}
		defer func() { <-b.slots }()
		b.send(batch)
	}()
}

// settlePartial settles a batch of which some elements failed; those that may succeed later are returned after a pause.
func (b *batcher) settlePartial(batch []*call, out []stream.Value, partial *stream.BatchError, wait *time.Duration) (again []*call) {
	var last error
	for i, c := range batch {
		err := partial.Failed[i]
		switch {
		case retriable(err) && b.memos.ctx.Err() == nil:
			if again = append(again, c); last == nil || retryAfter(err) > retryAfter(last) {
				last = err
			}
		case retriable(err):
			b.memos.finish(c, stream.Value{}, b.memos.ctx.Err()) // the end of the process is no failure
		case err != nil:
			b.memos.finish(c, stream.Value{}, err)
		case i >= len(out):
			b.memos.finish(c, stream.Value{}, miscounted(b.node, len(out), len(batch)))
		default:
			b.memos.finish(c, out[i], nil)
		}
	}
	if len(again) > 0 {
		b.waitOut(again, last, wait, true)
	}
	return again
}

func miscounted(n *stream.Node, outputs, inputs int) error {
	return stream.Errorf(stream.Internal, "run node "+n.Name, "operator returned %d outputs for %d inputs", outputs, inputs)
}

func (b *batcher) fail(batch []*call, err error) {
	for _, c := range batch {
		b.memos.finish(c, stream.Value{}, err)
	}
}

// retry calls the operator until it answers, refuses, or suspects one of several inputs.
func (b *batcher) retry(batch []*call, wait *time.Duration) ([]stream.Value, error) {
	inputs := make([]stream.Value, len(batch))
	for i, c := range batch {
		inputs[i] = c.input
	}
	for failed := false; ; failed = true {
		out, err := b.node.Operator.Apply(b.memos.ctx, inputs)
		if retriable(err) && b.memos.ctx.Err() != nil {
			return nil, b.memos.ctx.Err() // the end of the process is no failure
		}
		suspect := suspects(err)
		if !retriable(err) || suspect && len(inputs) > 1 {
			if failed && err == nil && b.memos.events.Recovered != nil {
				b.memos.events.Recovered(b.node.Name)
			}
			return out, err
		}
		b.waitOut(batch, err, wait, suspect)
	}
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

// firstFailure picks the failure with the lowest index, so that messages do not depend on chance.
func firstFailure(err error) error {
	var partial *stream.BatchError
	if !errors.As(err, &partial) || len(partial.Failed) == 0 {
		return err
	}
	at := make([]int, 0, len(partial.Failed))
	for i := range partial.Failed {
		at = append(at, i)
	}
	sort.Ints(at)
	return partial.Failed[at[0]]
}
