package cli

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/freshet-dev/freshet/statestore"
	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/kafka"
)

// stores keeps one directory per partition below dir.
type stores struct {
	flow string
	dir  string
	log  *slog.Logger
}

func (s stores) path(partition int32) string {
	return filepath.Join(s.dir, strconv.Itoa(int(partition)))
}

// lookedAt is how long a state may be in use by another before it is taken for a process of the flow: commands such as
// `freshet status` hold one for moments.
const lookedAt = 3 * time.Second

// Open implements kafka.Stores.
func (s stores) Open(partition int32) (kafka.Store, error) {
	for deadline := time.Now().Add(lookedAt); ; {
		store, err := statestore.Open(s.path(partition), statestore.Identity{Flow: s.flow, Partition: partition}, s.log)
		if !errors.Is(err, statestore.ErrLocked) || time.Now().After(deadline) {
			return store, err
		}
		<-time.After(20 * time.Millisecond)
	}
}

// Held returns how far the states on this machine were when they were closed.
func (s stores) Held() (map[int32]stream.Checkpoint, error) {
	found, err := os.ReadDir(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	held := map[int32]stream.Checkpoint{}
	for _, f := range found {
		n, err := strconv.ParseInt(f.Name(), 10, 32)
		if err != nil || !f.IsDir() {
			continue
		}
		if c, ok := statestore.Peek(s.path(int32(n))); ok {
			held[int32(n)] = c
		}
	}
	return held, err
}

// check refuses directories of another flow or partition before anything runs.
func (s stores) check() error {
	for _, name := range namesIn(s.dir) {
		id, err := strconv.ParseInt(name, 10, 32)
		if err != nil {
			continue // not ours, and never opened
		}
		if err := (statestore.Identity{Flow: s.flow, Partition: int32(id)}).Check(filepath.Join(s.dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// Wipe implements kafka.Stores.
func (s stores) Wipe(partition int32) error { return statestore.Wipe(s.path(partition)) }
