package statestore

import (
	"os"
	"path/filepath"

	"github.com/freshet-dev/freshet/stream"
)

// Peek returns the checkpoint that the store in dir had when it was closed last; false when that is not known. It opens
// nothing and may be old: a hint of how far the store is, never what a restore goes by.
func Peek(dir string) (c Checkpoint, ok bool) {
	b, err := os.ReadFile(filepath.Join(dir, closedFile))
	if err != nil || stream.Unmarshal(b, &c) != nil {
		return Checkpoint{}, false
	}
	return c, true
}

// leaveNote writes what Peek reads.
func (s *Store) leaveNote(c Checkpoint) error {
	b, err := stream.Marshal(c)
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(s.dir, closedFile), b)
}
