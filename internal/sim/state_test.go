//go:build synctests

package sim

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-dev/freshet/statestore"
	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/engine"
)

// replayed are the states that the changelog gives, by partition.
type replayed map[int32][]stream.StateEntry

func (s replayed) add(r *kgo.Record) {
	if r.Key[0] != 0xff { // progress
		s[r.Partition] = append(s[r.Partition], stream.StateEntry{Key: r.Key, Value: r.Value})
	}
}

// wrong says which state does not consist of what its statistics say, or lacks a memo that a document refers to.
func (s replayed) wrong() error {
	for partition, entries := range s {
		store := statestore.NewMemory()
		if err := store.Apply(entries, stream.Checkpoint{}); err != nil {
			return err
		}
		stats, err := engine.ReadStats(store)
		if err != nil {
			return err
		}
		counted, err := engine.CountContents(store)
		if err != nil {
			return err
		}
		if stats.Contents == nil || *stats.Contents != *counted {
			return fmt.Errorf("partition %d consists of %+v, its statistics say %+v", partition, counted, stats.Contents)
		}
		err = store.Scan([]byte{'e'}, nil, func(ref, _ []byte) (bool, error) {
			for _, kind := range []byte{'m', 'u'} {
				if _, ok, err := store.Get(append([]byte{kind}, ref[17:33]...)); err != nil || !ok {
					return false, fmt.Errorf("partition %d: a document refers to memo %x, which has no entry of kind %c (%v)", partition, ref[17:33], kind, err)
				}
			}
			return true, nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
