package statestore

import (
	"errors"

	"github.com/freshet-dev/freshet/stream"
)

// Entry is one write: Value under Key. A nil Value deletes the key; an empty one is stored. Keys are not empty, do not
// begin with a zero byte, and are at most 65,000 bytes long. Values of 1 MiB and more are allowed but their space comes
// back only at the next Open: cut them into parts.
type Entry struct{ Key, Value []byte }

// Checkpoint says which part of the changelog a store holds.
type Checkpoint struct {
	TopicID    string             `cbor:"1,keyasint"` // Kafka's topic ID of the changelog
	Applied    int64              `cbor:"2,keyasint"` // offset of the last progress record applied
	Format     int                `cbor:"3,keyasint"` // format of the entries
	Input      int64              `cbor:"4,keyasint"` // next source offset
	Generation int64              `cbor:"5,keyasint"`
	Revision   stream.Fingerprint `cbor:"6,keyasint"`
	Clock      int64              `cbor:"7,keyasint"` // wall clock when applied, ns since 1970 UTC
}

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
