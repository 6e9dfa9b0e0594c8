//go:build synctests

package sim

import (
	"errors"
	"sync"

	"github.com/freshet-dev/freshet/statestore"
	"github.com/freshet-dev/freshet/stream/kafka"
)

// errTorn is what a store says after its disk failed.
var errTorn = errors.New("the disk failed")

// disk holds the stores of one machine.
type disk interface {
	kafka.Stores
	// copied is what a machine would find that lost power now: what was synced, and nothing else.
	copied() disk
	// fail lets the next Apply on a partition fail after so many pieces; then is called first.
	fail(partition int32, piece int, then func())
}

// tear makes a disk fail at a piece.
type tear struct {
	mu        sync.Mutex
	armed     bool
	partition int32
	piece     int
	then      func()
}

func (t *tear) fail(partition int32, piece int, then func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.armed, t.partition, t.piece, t.then = true, partition, piece, then
}

// interrupt is called before each piece of an Apply.
func (t *tear) interrupt(partition int32, piece int) error {
	t.mu.Lock()
	hit := t.armed && t.partition == partition && t.piece == piece
	then := t.then
	if hit {
		t.armed = false
	}
	t.mu.Unlock()
	if !hit {
		return nil
	}
	then()
	return errTorn
}

// memory is a disk in memory.
type memory struct {
	tear
	mu     sync.Mutex
	stores map[int32]*statestore.Memory
}

func newMemory() *memory { return &memory{stores: map[int32]*statestore.Memory{}} }

func (m *memory) Open(p int32) (kafka.Store, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stores[p] == nil {
		m.stores[p] = statestore.NewMemory()
	} else {
		m.stores[p] = m.stores[p].Reopen()
	}
	m.stores[p].PieceEntries = 7
	m.stores[p].Interrupt = func(piece int) error { return m.interrupt(p, piece) }
	return m.stores[p], nil
}

func (m *memory) Wipe(p int32) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.stores, p)
	return nil
}

func (m *memory) copied() disk {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := newMemory()
	for p, s := range m.stores {
		out.stores[p] = s.Copy()
	}
	return out
}
