package exec

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/freshet-dev/freshet/operators/internal/blackbox"
	"github.com/freshet-dev/freshet/stream"
)

// pools are those of all nodes, by their settings.
type pools struct {
	mu    sync.Mutex
	byKey map[stream.Fingerprint]*pool
}

func (ps *pools) join(key stream.Fingerprint, d blackbox.Declared, c command, workers int) *pool {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	p := ps.byKey[key]
	if p == nil {
		p = &pool{declared: d, command: c, slots: make(chan struct{}, max(1, workers))}
		ps.byKey[key] = p
	}
	p.nodes++
	return p
}

// leave ends the workers with the last node.
func (ps *pools) leave(key stream.Fingerprint, p *pool) {
	ps.mu.Lock()
	p.nodes--
	last := p.nodes == 0
	if last {
		delete(ps.byKey, key)
	}
	ps.mu.Unlock()
	if last {
		p.close()
	}
}

// Pauses before a worker is started again: they double, with each start that fails, and less with each worker that dies at
// work, since others wait for the next one.
const (
	firstPause  = 50 * time.Millisecond
	workPause   = time.Second
	startPause  = 30 * time.Second
	closeWithin = 2 * time.Second // for a worker whose input has ended
)

// pool keeps up to cap(slots) workers. A worker belongs to one request at a time.
type pool struct {
	declared blackbox.Declared
	command  command
	slots    chan struct{} // one for each request under way
	nodes    int           // that share it; guarded by pools.mu

	mu     sync.Mutex
	idle   []*worker
	pause  time.Duration // the last one
	due    time.Time     // no worker starts before
	closed bool
}

// ask lets a worker compute n inputs.
func (p *pool) ask(ctx context.Context, items []byte, n int) ([]stream.Value, error) {
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
		return nil, p.ended(ctx)
	}
	w, err := p.take(ctx)
	if err != nil {
		return nil, err
	}
	values, err := w.compute(ctx, p.declared, items, n)
	var some *stream.BatchError
	if err == nil || errors.As(err, &some) {
		p.giveBack(w)
		return values, err
	}
	err = w.endFor(err)
	p.failed(workPause)
	if ctx.Err() != nil {
		return nil, p.ended(ctx)
	}
	return nil, &stream.Error{Op: p.declared.Op, Kind: stream.Transient, Suspect: true, Err: err}
}

func (p *pool) ended(ctx context.Context) error {
	return &stream.Error{Op: p.declared.Op, Kind: stream.Transient, Err: ctx.Err()}
}

// take returns an idle worker, or a new one once that is due.
func (p *pool) take(ctx context.Context) (*worker, error) {
	for w := p.pop(); w != nil; w = p.pop() {
		if w.runs() {
			return w, nil
		}
		w.end(0) // it died while nobody asked it anything
	}
	p.mu.Lock()
	wait := time.NewTimer(time.Until(p.due))
	p.mu.Unlock()
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-ctx.Done():
		return nil, p.ended(ctx)
	}
	w, err := start(ctx, p.command, p.declared)
	if err != nil {
		p.failed(startPause)
		if ctx.Err() != nil {
			return nil, p.ended(ctx)
		}
	}
	return w, err
}

func (p *pool) pop() *worker {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.idle) == 0 {
		return nil
	}
	w := p.idle[len(p.idle)-1]
	p.idle = p.idle[:len(p.idle)-1]
	return w
}

func (p *pool) giveBack(w *worker) {
	p.mu.Lock()
	p.pause, p.due = 0, time.Time{}
	closed := p.closed
	if !closed {
		p.idle = append(p.idle, w)
	}
	p.mu.Unlock()
	if closed {
		w.end(closeWithin)
	}
}

// failed lets the next start wait, at most for about limit.
func (p *pool) failed(limit time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pause = min(max(2*p.pause, firstPause), limit)
	p.due = time.Now().Add(p.pause/2 + rand.N(p.pause))
}

// close ends the idle workers; one that is asked something ends with that request.
func (p *pool) close() {
	p.mu.Lock()
	idle := p.idle
	p.idle, p.closed = nil, true
	p.mu.Unlock()
	var group sync.WaitGroup
	for _, w := range idle {
		group.Go(func() { w.end(closeWithin) })
	}
	group.Wait()
}
