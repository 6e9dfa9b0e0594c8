package engine

import (
	"bytes"
	"slices"

	"github.com/freshet-dev/freshet/stream"
)

// Store is the local copy of one partition's changelog. Get and Scan may run while the transaction that feeds the store
// is being applied; values returned by Get belong to the caller, those of Scan are valid during the call.
type Store interface {
	Get(key []byte) (value []byte, ok bool, err error)
	Scan(prefix, from []byte, each func(key, value []byte) (more bool, err error)) error
}

// overlay is a store as a transaction sees it: what it wrote, then what was committed.
type overlay struct {
	base    Store
	written map[string][]byte
}

func newOverlay(base Store) *overlay { return &overlay{base: base, written: map[string][]byte{}} }

func (o *overlay) put(key, value []byte) { o.written[string(key)] = value }

func (o *overlay) delete(key []byte) { o.written[string(key)] = nil }

func (o *overlay) get(key []byte) ([]byte, bool, error) {
	if v, ok := o.written[string(key)]; ok {
		return v, v != nil, nil
	}
	return o.base.Get(key)
}

// load decodes the entry at key into x; false when there is none.
func (o *overlay) load(key []byte, x any) (bool, error) {
	v, ok, err := o.get(key)
	if err != nil || !ok {
		return false, err
	}
	return true, stream.Unmarshal(v, x)
}

// entries returns what was written, in order of key.
func (o *overlay) entries() []stream.StateEntry {
	out := make([]stream.StateEntry, 0, len(o.written))
	for k, v := range o.written {
		out = append(out, stream.StateEntry{Key: []byte(k), Value: v})
	}
	slices.SortFunc(out, func(a, b stream.StateEntry) int { return bytes.Compare(a.Key, b.Key) })
	return out
}
