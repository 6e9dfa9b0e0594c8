package engine

import (
	"context"
	"sync"

	"github.com/freshet-dev/freshet/stream"
)

// used is a memo that an evaluation used. It keeps the value, wherever it was found: the partition's own memo may be collected
// before the evaluation is committed, which then stores it again.
type used struct {
	value stream.Value
	own   bool // the partition held it when it was looked up
}

// calls is what one evaluation calls operators through (stream.Calls).
type calls struct {
	memos     *memos
	own       Store
	partition int32
	later     bool          // of a document of the backlog
	slots     chan struct{} // of the evaluator, one of which is in hand; nil: none is

	mu      sync.Mutex
	yielded bool
	used    map[stream.Fingerprint]used
	nodes   map[string]NodeCount
}

// Computed implements stream.Calls.
func (c *calls) Computed(node string, n int) { c.count(node, NodeCount{Computed: int64(n)}) }

func (c *calls) count(node string, n NodeCount) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.nodes == nil {
		c.nodes = map[string]NodeCount{}
	}
	sum := c.nodes[node]
	c.nodes[node] = NodeCount{sum.Computed + n.Computed, sum.Reused + n.Reused}
}

// Call implements stream.Calls.
func (c *calls) Call(ctx context.Context, n *stream.Node, inputs []stream.Value) ([]stream.Value, error) {
	if !n.Costly {
		return c.direct(ctx, n, inputs)
	}
	out := make([]stream.Value, len(inputs))
	waits := map[stream.Fingerprint][]int{}
	flights := []*call{}
	for i, in := range inputs {
		if in.IsNull() {
			continue
		}
		key := n.MemoKey(in)
		if at := waits[key]; at != nil {
			waits[key] = append(at, i)
			c.count(n.Name, NodeCount{Reused: 1})
			continue
		}
		v, ok, err := c.find(key)
		if err != nil {
			return nil, err
		}
		if ok {
			out[i] = v
			c.count(n.Name, NodeCount{Reused: 1})
			continue
		}
		f, begun := c.memos.compute(n, key, in, c.later)
		c.countCall(n.Name, begun)
		waits[key] = []int{i}
		flights = append(flights, f)
	}
	return out, c.collect(ctx, flights, waits, out)
}

func (c *calls) countCall(node string, begun bool) {
	if begun {
		c.count(node, NodeCount{Computed: 1})
		return
	}
	c.count(node, NodeCount{Reused: 1})
}

// find looks the memo up and notes its use.
func (c *calls) find(key stream.Fingerprint) (stream.Value, bool, error) {
	v, ok, err := read(c.own, key)
	if err == nil && ok {
		c.use(key, used{v, true})
		return v, true, nil
	}
	if err == nil {
		v, ok, err = c.memos.elsewhere(c.partition, key)
	}
	if err == nil && ok {
		c.use(key, used{v, false})
	}
	return v, ok, err
}

func (c *calls) use(key stream.Fingerprint, u used) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.used[key]; !ok {
		if c.used == nil {
			c.used = map[stream.Fingerprint]used{}
		}
		c.used[key] = u
	}
}

func (c *calls) collect(ctx context.Context, flights []*call, waits map[stream.Fingerprint][]int, out []stream.Value) error {
	for _, f := range flights {
		if err := c.await(ctx, f); err != nil {
			return err
		}
		if f.err != nil {
			return f.err
		}
		v := f.value
		c.use(f.key, used{v, false})
		for _, i := range waits[f.key] {
			out[i] = v
		}
	}
	return nil
}

// await waits for a result. One that is late is waited for without the evaluation's slot: documents whose inputs keep failing
// must not hold back the others, however many they are.
func (c *calls) await(ctx context.Context, f *call) error {
	select {
	case <-f.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-f.late:
	}
	if c.yield() {
		defer c.resume()
	}
	select {
	case <-f.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// yield gives the slot away, unless another call of the evaluation has: those of one wave wait at the same time.
func (c *calls) yield() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.slots == nil || c.yielded {
		return false
	}
	c.yielded = true
	<-c.slots
	return true
}

func (c *calls) resume() {
	c.slots <- struct{}{}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.yielded = false
}

// direct runs a cheap operator, which stores nothing.
func (c *calls) direct(ctx context.Context, n *stream.Node, inputs []stream.Value) ([]stream.Value, error) {
	out, computed, err := applyTo(ctx, n, inputs)
	if err == nil && computed > 0 {
		c.count(n.Name, NodeCount{Computed: computed})
	}
	return out, err
}

// applyTo runs a cheap operator on the inputs that aren't null, and returns how many these are.
func applyTo(ctx context.Context, n *stream.Node, inputs []stream.Value) (out []stream.Value, computed int64, err error) {
	out = make([]stream.Value, len(inputs))
	at := make([]int, 0, len(inputs))
	given := make([]stream.Value, 0, len(inputs))
	for i, in := range inputs {
		if !in.IsNull() {
			at, given = append(at, i), append(given, in)
		}
	}
	if len(given) == 0 {
		return out, 0, nil
	}
	got, err := n.Operator.Apply(ctx, given)
	if err != nil {
		return nil, 0, firstFailure(err)
	}
	if len(got) != len(given) {
		return nil, 0, miscounted(n, len(got), len(given))
	}
	for j, i := range at {
		out[i] = got[j]
	}
	return out, int64(len(given)), nil
}
