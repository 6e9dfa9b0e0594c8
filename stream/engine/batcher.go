package engine

import (
	"errors"
	"slices"
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
	linger   = 2 * time.Millisecond // how long a batch that is not full waits for more
	parallel = 4                    // calls of one node at a time, unless its operator says otherwise
)

// batcher gathers the inputs of one costly node, across documents, into calls of its operator.
type batcher struct {
	memos *memos
	node  *stream.Node
	size  int
	slots chan struct{}
	// Calls that only the backlog's documents need leave a slot to the others, where there is more than one.
	behind chan struct{}
	live   chan struct{} // a token when one of the others came

	mu      sync.Mutex
	queue   []*call
	later   []*call // of the backlog's documents: sent when queue is empty, or in a batch that has room
	running bool
	health  health
	limit   *limiter
}

func newBatcher(m *memos, n *stream.Node) *batcher {
	most := concurrency(n)
	return &batcher{memos: m, node: n, size: int(batchSize(n)), slots: make(chan struct{}, most), behind: make(chan struct{}, max(1, most-1)),
		live: make(chan struct{}, 1), limit: m.limiterOf(n)}
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
	if c.later {
		b.later = append(b.later, c)
	} else {
		b.ahead(c)
	}
	if !b.running {
		b.running = true
		b.memos.group.Add(1)
		go b.dispatch()
	}
}

// ahead queues a call before the backlog's; b.mu is held.
func (b *batcher) ahead(c *call) {
	b.queue = append(b.queue, c)
	select {
	case b.live <- struct{}{}:
	default:
	}
}

// hurry moves a call that waits with the backlog's to the others: a live document needs it too.
func (b *batcher) hurry(c *call) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c.later = false // also of a call that waits for its turn under a rate
	if i := slices.Index(b.later, c); i >= 0 {
		b.later = slices.Delete(b.later, i, i+1)
		b.ahead(c)
	}
}

// dispatch sends batches until nothing waits.
func (b *batcher) dispatch() {
	defer b.memos.group.Done()
	for {
		if !b.full() {
			b.pause(linger)
		}
		b.slots <- struct{}{} // a slot always frees: sends end with the context at the latest
		batch, behind := b.next()
		if len(batch) == 0 {
			<-b.slots
			return
		}
		b.memos.group.Add(1)
		go func() {
			defer b.memos.group.Done()
			defer func() {
				if behind {
					<-b.behind
				}
				<-b.slots
			}()
			b.send(batch)
		}()
	}
}

// next takes the next batch, none when nothing waits. behind: it is the backlog's alone, and holds a place of those.
func (b *batcher) next() (batch []*call, behind bool) {
	for {
		batch, wait := b.take(false)
		if !wait {
			return batch, false
		}
		select {
		case b.behind <- struct{}{}:
			if batch, wait = b.take(true); wait {
				return batch, true
			}
			<-b.behind
			return batch, false
		case <-b.live:
		}
	}
}

// isBehind reports whether only the backlog's documents need the calls.
func (b *batcher) isBehind(batch []*call) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !slices.ContainsFunc(batch, func(c *call) bool { return !c.later })
}

func (b *batcher) full() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.queue)+len(b.later) >= b.size
}

// take takes a batch. behind is true when only the backlog's calls wait, which are taken only where that is allowed.
func (b *batcher) take(allowed bool) (batch []*call, behind bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if behind = len(b.queue) == 0 && len(b.later) > 0; behind && !allowed {
		return nil, true
	}
	n := min(b.size, len(b.queue))
	batch = b.queue[:n:n]
	b.queue = b.queue[n:]
	if n = min(b.size-n, len(b.later)); n > 0 {
		batch = append(batch, b.later[:n]...)
		b.later = b.later[n:]
	}
	b.running = len(batch) > 0
	return batch, behind
}

// send calls the operator until each input has an answer, is refused, or has used up its attempts. A batch with a refused
// element is halved until that element stands alone, and so is one of which an element is suspected.
func (b *batcher) send(batch []*call) {
	wait := firstBackoff
	for len(batch) > 0 {
		batch = b.sendOnce(batch, &wait)
	}
}

// sendOnce calls the operator once, settles what it can, and returns the elements that are to be sent again. wait is the
// next pause.
func (b *batcher) sendOnce(batch []*call, wait *time.Duration) (again []*call) {
	out, err := b.apply(batch)
	var partial *stream.BatchError
	switch {
	case err == nil && len(out) != len(batch):
		b.fail(batch, miscounted(b.node, len(out), len(batch)))
	case err == nil:
		b.succeeded()
		for i, c := range batch {
			b.memos.finish(c, out[i], nil)
		}
	case errors.As(err, &partial) && len(partial.Failed) > 0:
		return b.settlePartial(batch, out, partial, wait)
	case len(batch) > 1 && (stream.KindOf(err) == stream.Invalid || suspects(err)):
		return b.halve(batch, wait)
	case retriable(err):
		return b.again(batch, err, wait)
	default:
		b.fail(batch, err)
	}
	return nil
}

func (b *batcher) apply(batch []*call) ([]stream.Value, error) {
	inputs := make([]stream.Value, len(batch))
	for i, c := range batch {
		inputs[i] = c.input
	}
	b.limit.wait(b.memos.ctx, func() bool { return b.isBehind(batch) })
	sent := time.Now()
	out, err := b.node.Operator.Apply(b.memos.ctx, inputs)
	b.limit.tell(sent, err)
	if retriable(err) && b.memos.ctx.Err() != nil {
		return nil, b.memos.ctx.Err() // the end of the process is no failure
	}
	return out, err
}

// halve sends the second half beside others, and returns the first.
func (b *batcher) halve(batch []*call, wait *time.Duration) []*call {
	b.apart(batch[len(batch)/2:])
	*wait = firstBackoff
	return batch[:len(batch)/2]
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
	if len(partial.Failed) < len(batch) {
		b.succeeded()
	}
	var last error
	for i, c := range batch {
		err := partial.Failed[i]
		switch {
		case retriable(err) && b.memos.ctx.Err() == nil:
			if one := batch[i : i+1]; b.spend(one, err) && b.park(one, err) == nil {
				continue
			}
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
