package statestore

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/freshet-dev/freshet/stream"
)

// Memory is a store without a disk, for tests and simulations: it keeps the same contract as Store.
type Memory struct {
	gate
	// Interrupt, when set, is called before each piece of an Apply, which ends there if it returns an error: what a crash
	// leaves behind. Set it before the store is used.
	Interrupt func(piece int) error
	// PieceEntries is how many entries go into one piece; 0: all into one.
	PieceEntries int

	disk *disk
}

// disk is what outlives a Memory's Close.
type disk struct {
	mu      sync.RWMutex
	values  map[string][]byte
	mark    Checkpoint
	marked  bool
	loading bool     // between Load and Loaded
	ordered []string // keys in order; nil after a change of the key set
}

// NewMemory returns an empty store.
func NewMemory() *Memory { return newMemory(&disk{values: map[string][]byte{}}) }

func newMemory(d *disk) *Memory {
	m := &Memory{disk: d}
	m.gate.init()
	return m
}

// Reopen returns an open store of what m held when it was closed, or when its process would have ended.
func (m *Memory) Reopen() *Memory {
	m.disk.mu.Lock()
	defer m.disk.mu.Unlock()
	if m.disk.loading { // cut short
		return NewMemory()
	}
	return newMemory(m.disk)
}

// Copy returns an open store of what m holds at this moment, as a copy of a disk at one instant would: an Apply that is
// under way is in it up to the piece it has come to.
func (m *Memory) Copy() *Memory {
	m.disk.mu.RLock()
	defer m.disk.mu.RUnlock()
	if m.disk.loading { // cut short
		return NewMemory()
	}
	return newMemory(&disk{values: maps.Clone(m.disk.values), mark: m.disk.mark, marked: m.disk.marked}) // values are never written to
}

// Load is as Store's.
func (m *Memory) Load() error {
	m.disk.mu.Lock()
	defer m.disk.mu.Unlock()
	if m.disk.marked || len(m.disk.values) > 0 {
		return stream.Errorf(stream.Internal, "load a store in memory", "it is not empty")
	}
	m.disk.loading = true
	return nil
}

// Loaded is as Store's.
func (m *Memory) Loaded(c Checkpoint) error {
	m.disk.mu.Lock()
	m.disk.loading = false
	m.disk.mu.Unlock()
	return m.Apply(nil, c)
}

// Get is as Store's.
func (m *Memory) Get(key []byte) (value []byte, ok bool, err error) {
	if err := m.enter(); err != nil {
		return nil, false, err
	}
	defer m.leave()
	m.disk.mu.RLock()
	defer m.disk.mu.RUnlock()
	v, ok := m.disk.values[string(key)]
	return bytes.Clone(v), ok, nil
}

// Scan is as Store's.
func (m *Memory) Scan(prefix, from []byte, each func(key, value []byte) (more bool, err error)) error {
	if err := m.enter(); err != nil {
		return err
	}
	defer m.leave()
	for _, e := range m.disk.rangeOf(string(prefix), string(start(prefix, from))) {
		if more, err := each(e.Key, e.Value); err != nil || !more {
			return err
		}
	}
	return nil
}

// rangeOf returns the entries of a scan; their values are shared and never written to.
func (d *disk) rangeOf(prefix, low string) []Entry {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ordered == nil {
		d.ordered = slices.Sorted(maps.Keys(d.values))
	}
	var found []Entry
	i, _ := slices.BinarySearch(d.ordered, low)
	for _, k := range d.ordered[i:] {
		if !strings.HasPrefix(k, prefix) {
			break
		}
		found = append(found, Entry{Key: []byte(k), Value: d.values[k]})
	}
	return found
}

// Apply is as Store's.
func (m *Memory) Apply(entries []Entry, c Checkpoint) error {
	if err := m.enter(); err != nil {
		return err
	}
	defer m.leave()
	if err := checkEntries(entries); err != nil {
		return err
	}
	pieces := m.pieces(entries)
	for i, piece := range pieces {
		if m.Interrupt != nil {
			if err := m.Interrupt(i); err != nil {
				return err
			}
		}
		// Invariant 2: the checkpoint is in the last piece only.
		m.disk.write(piece, c, i == len(pieces)-1)
	}
	return nil
}

func (m *Memory) pieces(entries []Entry) [][]Entry {
	if m.PieceEntries <= 0 || len(entries) == 0 {
		return [][]Entry{entries}
	}
	return slices.Collect(slices.Chunk(entries, m.PieceEntries))
}

func (d *disk) write(piece []Entry, c Checkpoint, last bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, e := range piece {
		if e.Value == nil {
			delete(d.values, string(e.Key))
		} else {
			d.values[string(e.Key)] = append([]byte{}, e.Value...)
		}
	}
	d.ordered = nil
	if last && !d.loading {
		d.mark, d.marked = c, true
	}
}

// Checkpoint is as Store's.
func (m *Memory) Checkpoint() (c Checkpoint, ok bool, err error) {
	if err := m.enter(); err != nil {
		return c, false, err
	}
	defer m.leave()
	m.disk.mu.RLock()
	defer m.disk.mu.RUnlock()
	return m.disk.mark, m.disk.marked, nil
}

// Size returns the bytes of all keys and values.
func (m *Memory) Size() (bytes int64) {
	m.disk.mu.RLock()
	defer m.disk.mu.RUnlock()
	for k, v := range m.disk.values {
		bytes += int64(len(k) + len(v))
	}
	return bytes
}

// Close is as Store's.
func (m *Memory) Close() error {
	m.gate.close()
	return nil
}
