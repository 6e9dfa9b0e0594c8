package engine

import (
	"context"
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
