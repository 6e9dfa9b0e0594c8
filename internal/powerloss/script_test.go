package powerloss

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"

	"github.com/freshet-dev/freshet/statestore"
)

// batches of one script: enough for several rotations of the log and a compaction.
const batches = 90

// batch is the n-th transaction's entries, always the same: small and large values, deletes, some in several pieces, some
// too large for the tree.
func batch(n int64) []statestore.Entry {
	r := rand.New(rand.NewPCG(uint64(n), 42))
	count := 1 + r.IntN(30)
	if n%10 == 0 {
		count = 12 // of 100 KiB: a transaction of several pieces
	}
	entries := make([]statestore.Entry, 0, count)
	for range count {
		e := statestore.Entry{Key: fmt.Appendf(nil, "k%03d", r.IntN(400))}
		switch kind := r.IntN(100); {
		case n%10 == 0:
			e.Value = noise(r, 100<<10)
		case kind < 15: // a delete
		case kind < 90:
			e.Value = noise(r, 50+r.IntN(2000))
		case kind < 99:
			e.Value = noise(r, 10<<10+r.IntN(40<<10))
		default:
			e.Value = noise(r, 320<<10)
		}
		entries = append(entries, e)
	}
	return entries
}

func noise(r *rand.Rand, size int) []byte {
	b := make([]byte, 0, size+8)
	for len(b) < size {
		b = binary.LittleEndian.AppendUint64(b, r.Uint64())
	}
	return b[:size]
}

// stateAfter is the model: what the batches 1 to n leave.
func stateAfter(n int64) map[string]string {
	state := map[string]string{}
	for i := int64(1); i <= n; i++ {
		for _, e := range batch(i) {
			if e.Value == nil {
				delete(state, string(e.Key))
			} else {
				state[string(e.Key)] = string(e.Value)
			}
		}
	}
	return state
}
