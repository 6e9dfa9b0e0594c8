package statestore

import (
	"errors"

	"github.com/freshet-dev/freshet/stream"
)

// spare is what must be free before anything is written. Badger's logs are mapped into memory: a disk that is full kills
// the process in the middle of a write to them, and what Badger flushes it tries again without end. With some room left a
// full disk is an error like others.
const spare = 64 << 20

// ErrFull says that the disk has too little room left. It is of kind Transient: once there is room, the same works.
var ErrFull = errors.New("less than 64 MiB are free on its disk; make room")

// room refuses to begin a write on a disk that is nearly full.
func room(dir string, free func(string) (int64, error)) error {
	left, err := free(dir)
	if err == nil && left < spare {
		err = ErrFull
	}
	if err != nil {
		return &stream.Error{Op: "write to state directory " + dir, Kind: stream.Transient, Err: err}
	}
	return nil
}
