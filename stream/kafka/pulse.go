package kafka

import (
	"sync"
	"time"
)

// Pulse tells whether a loop turns, for liveness. Waiting for a broker or a target is no standstill: they may be away for
// long, and a restart would not bring them back. It may be read at any time.
type Pulse struct {
	mu      sync.Mutex
	at      time.Time // of the last round, or of the end of the last wait
	waiting int
}

// beat notes a round of the loop.
func (p *Pulse) beat() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.at = time.Now()
}

// wait notes that the loop waits for others until done is called. Waits of several partitions may overlap.
func (p *Pulse) wait() (done func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting++
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.waiting--
		p.at = time.Now()
	}
}

// Still is for how long the loop has neither turned nor waited for others; 0 before its first round.
func (p *Pulse) Still() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waiting > 0 || p.at.IsZero() {
		return 0
	}
	return time.Since(p.at)
}
