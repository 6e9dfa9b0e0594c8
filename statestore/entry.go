package statestore

import (
	"errors"

	"github.com/freshet-dev/freshet/stream"
)

// Entry is one write to the state; see stream.StateEntry.
type Entry = stream.StateEntry

// Checkpoint says which part of the changelog a store holds.
type Checkpoint = stream.Checkpoint

// Marks to ask for with errors.Is.
var (
	ErrClosed  = errors.New("the store is closed")
	ErrLocked  = errors.New("the directory is in use by another Freshet; stop that one first")
	ErrForeign = errors.New("the directory holds something else")
	errKey     = errors.New("a key is empty, too long or begins with a reserved byte")
)

const maxKey = 65000

// checkpointKey lies before all keys that entries may have.
var checkpointKey = []byte{0, 'c'}

// lowKey lies before all others. Each transaction writes it, so that all tables of the first level overlap (see options.go).
var lowKey = []byte{0, 'a'}

// firstKey is the lowest key that an entry may have.
var firstKey = []byte{1}

func checkEntries(entries []Entry) error {
	for _, e := range entries {
		if len(e.Key) == 0 || e.Key[0] == 0 || len(e.Key) > maxKey {
			return &stream.Error{Op: "apply entries to the state", Kind: stream.Internal, Err: errKey}
		}
	}
	return nil
}
