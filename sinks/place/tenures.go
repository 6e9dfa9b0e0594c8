package place

import (
	"errors"
	"fmt"
	"sync"
)

// Tenures are the partitions that a writer was assigned and has neither released nor lost, with the step of each whose COMMIT was never answered.
// The zero value holds none. Safe for concurrent use.
type Tenures struct {
	mu   sync.Mutex
	held map[int32]tenure
}

type tenure struct {
	epoch     int64
	unsettled *Step
}

// Take begins a tenure.
func (t *Tenures) Take(partition int32, epoch int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.held == nil {
		t.held = map[int32]tenure{}
	}
	t.held[partition] = tenure{epoch: epoch}
}

// Release ends it.
func (t *Tenures) Release(partition int32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.held, partition)
}

// Epoch is that of a tenure; ErrFenced without one.
func (t *Tenures) Epoch(partition int32) (int64, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	h, ok := t.held[partition]
	if !ok {
		return 0, fmt.Errorf("partition %d is not assigned: %w", partition, ErrFenced)
	}
	return h.epoch, nil
}

// Unsettled reports whether the step was tried before and may have come about.
func (t *Tenures) Unsettled(partition int32, s Step) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	u := t.held[partition].unsettled
	return u != nil && *u == s
}

// Note keeps in mind how a step ended: without an answer, or done.
func (t *Tenures) Note(partition int32, s Step, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	h, ok := t.held[partition]
	if !ok {
		return
	}
	var lost *LostAnswer
	if errors.As(err, &lost) {
		h.unsettled = &s
	} else if err == nil {
		h.unsettled = nil
	}
	t.held[partition] = h
}
