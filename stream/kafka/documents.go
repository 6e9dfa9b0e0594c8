package kafka

import (
	"maps"
	"slices"

	"github.com/freshet-dev/freshet/stream/engine"
)

// Held returns the partitions whose state this replica holds restored, in order. It is safe for concurrent use.
func (p *Processor) Held() []int32 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Sorted(maps.Keys(p.parts))
}

// Store returns the state of a held partition for reading, until release is called; false when this replica does not
// hold it. The partition can't be handed on before release: keep it for moments only. It is safe for concurrent use. A
// reader beside a commit that is being applied may see a part of it.
func (p *Processor) Store(partition int32) (s engine.Store, release func(), ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	o := p.parts[partition]
	if o == nil {
		return nil, nil, false
	}
	// The pin is taken under the lock. close takes the partition out under the same lock first and then closes the store,
	// which waits for pins: either the pin comes before that, or the partition is not found.
	pinned, can := o.store.(interface{ Pin() (func(), bool) })
	if !can {
		return nil, nil, false
	}
	release, ok = pinned.Pin()
	return o.store, release, ok
}
