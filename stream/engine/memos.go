package engine

import (
	"context"
	"slices"
	"sync"

	"github.com/freshet-dev/freshet/stream"
)

// memos finds and computes results of costly nodes. A look-up goes to the document's own partition, then to results of
// this process that are not committed yet, then to the other partitions of the replica; equal inputs in flight are
// computed once.
//
// Invariant 7: the memo key covers the operator's logic and the evaluated input, so a result is right wherever it was
// computed.
type memos struct {
	ctx    context.Context
	events Events
	mu     sync.Mutex
	held   map[int32]*heldStore
	calls  map[stream.Fingerprint]*call
	recent *recentValues
	nodes  map[*stream.Node]*batcher
	group  sync.WaitGroup
	ended  outages
	share  share

	limiters map[string]*limiter // by model, or node
}

type heldStore struct {
	store Store
	users sync.RWMutex // readers hold it shared; release waits for them
	gone  bool
}

// call is a result in flight: done is closed when value or err is set, late before that if its input keeps failing.
type call struct {
	key   stream.Fingerprint
	input stream.Value
	later bool // only documents of the backlog need it; the batcher's mu guards it too
	done  chan struct{}
	late  chan struct{} // closed when it is not to be waited for with anything in hand
	value stream.Value
	err   error

	failed int   // attempts that failed; of whoever sends it, as since
	since  int64 // how often the node's calls had succeeded when the last attempt but the final one failed; or blamed
}

// outages counts by node how many outages have ended.
type outages struct {
	mu sync.Mutex
	by map[string]int64
}

func (m *memos) endOutage(node string) {
	m.ended.mu.Lock()
	defer m.ended.mu.Unlock()
	addTo(&m.ended.by, node, 1)
}

func (m *memos) outagesEnded(node string) int64 {
	m.ended.mu.Lock()
	defer m.ended.mu.Unlock()
	return m.ended.by[node]
}

// ended reports whether the call has its result.
func (c *call) ended() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

func newMemos(ctx context.Context, events Events) *memos {
	return &memos{ctx: ctx, events: events, held: map[int32]*heldStore{}, calls: map[stream.Fingerprint]*call{},
		recent: newRecentValues(64 << 20), nodes: map[*stream.Node]*batcher{}, limiters: map[string]*limiter{}}
}

func (m *memos) hold(partition int32, s Store) func() {
	h := &heldStore{store: s}
	m.mu.Lock()
	m.held[partition] = h
	m.mu.Unlock()
	return func() {
		m.mu.Lock()
		if m.held[partition] == h {
			delete(m.held, partition)
		}
		m.mu.Unlock()
		h.users.Lock()
		h.gone = true
		h.users.Unlock()
	}
}

// read looks a memo up in one store.
func read(s Store, key stream.Fingerprint) (stream.Value, bool, error) {
	raw, ok, err := s.Get(memoKey(key))
	if err != nil || !ok {
		return stream.Value{}, false, err
	}
	v, err := stream.DecodeValue(raw)
	return v, err == nil, err
}

func (h *heldStore) read(key stream.Fingerprint) (stream.Value, bool, error) {
	h.users.RLock()
	defer h.users.RUnlock()
	if h.gone {
		return stream.Value{}, false, nil
	}
	return read(h.store, key)
}

// elsewhere looks a memo up outside the own partition.
func (m *memos) elsewhere(own int32, key stream.Fingerprint) (stream.Value, bool, error) {
	m.mu.Lock()
	if v, ok := m.recent.get(key); ok {
		m.mu.Unlock()
		return v, true, nil
	}
	others := make([]*heldStore, 0, len(m.held))
	for p, h := range m.held {
		if p != own {
			others = append(others, h)
		}
	}
	m.mu.Unlock()
	for _, h := range others {
		if v, ok, err := h.read(key); err != nil || ok {
			return v, ok, err
		}
	}
	return stream.Value{}, false, nil
}

// compute returns the call for key, begun now or by someone else earlier. later is true for a document of the backlog.
func (m *memos) compute(n *stream.Node, key stream.Fingerprint, input stream.Value, later bool) (c *call, begun bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if c := m.calls[key]; c != nil {
		if c.later && !later {
			m.nodes[n].hurry(c)
		}
		return c, false
	}
	c = &call{key: key, input: input, later: later, done: make(chan struct{}), late: make(chan struct{})}
	if v, ok := m.recent.get(key); ok { // it was finished between the look-up and now
		c.value = v
		close(c.done)
		return c, false
	}
	m.calls[key] = c
	b := m.nodes[n]
	if b == nil {
		b = newBatcher(m, n)
		m.nodes[n] = b
	}
	b.add(c)
	return c, true
}

// finish ends a call; a success is remembered until its memo is surely committed.
func (m *memos) finish(c *call, v stream.Value, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c.value, c.err = v, err
	delete(m.calls, c.key)
	if err == nil {
		m.recent.put(c.key, v)
	}
	close(c.done)
}

// holdBack marks calls as late.
func (m *memos) holdBack(calls []*call) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range calls {
		select {
		case <-c.late:
		default:
			close(c.late)
		}
	}
}

func (m *memos) wait() { m.group.Wait() }

// recentValues keeps values up to a bound of bytes, dropping the oldest.
type recentValues struct {
	byKey map[stream.Fingerprint]stream.Value
	order []stream.Fingerprint
	bytes int
	bound int
}

func newRecentValues(bound int) *recentValues {
	return &recentValues{byKey: map[stream.Fingerprint]stream.Value{}, bound: bound}
}

func (r *recentValues) get(k stream.Fingerprint) (stream.Value, bool) {
	v, ok := r.byKey[k]
	return v, ok
}

func (r *recentValues) put(k stream.Fingerprint, v stream.Value) {
	if _, ok := r.byKey[k]; ok {
		return
	}
	r.byKey[k] = v
	r.order = append(r.order, k)
	r.bytes += valueSize(v)
	for r.bytes > r.bound && len(r.order) > 1 {
		old := r.order[0]
		r.order = r.order[1:]
		r.bytes -= valueSize(r.byKey[old])
		delete(r.byKey, old)
	}
}

func (r *recentValues) drop(k stream.Fingerprint) {
	if v, ok := r.byKey[k]; ok {
		delete(r.byKey, k)
		r.order = slices.DeleteFunc(r.order, func(o stream.Fingerprint) bool { return o == k })
		r.bytes -= valueSize(v)
	}
}

func valueSize(v stream.Value) int { return 96 + len(v.Raw()) + v.Len() }

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
