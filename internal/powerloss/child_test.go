package powerloss

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"testing"

	"github.com/freshet-dev/freshet/statestore"
)

const (
	childDir  = "FRESHET_POWERLOSS_DIR"
	childLoad = "FRESHET_POWERLOSS_LOAD" // an empty store is loaded in bulk first
)

// loadedBatches are written in bulk.
const loadedBatches = 40

// identity is that of all stores here.
var identity = statestore.Identity{Flow: "handbook", Partition: 3}

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		if err := child(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// child is the process whose power is cut: it goes on with the script where the store's checkpoint is. It says on standard
// output what it begins and what it has applied, and waits for an answer to each line. The instrumented Badger says the
// same way, on files of its own, what it is about to sync.
func child(dir string) error {
	s, err := statestore.Open(dir, identity, slog.New(slog.NewTextHandler(os.Stderr, nil)))
	if err != nil {
		return err
	}
	c, ok, err := s.Checkpoint()
	if err == nil && !ok && os.Getenv(childLoad) != "" {
		c.Applied = loadedBatches
		tell("begin", c.Applied)
		err = load(s, c)
		tell("applied", c.Applied)
	}
	for n := c.Applied + 1; err == nil && n <= batches; n++ {
		tell("begin", n)
		err = s.Apply(batch(n), statestore.Checkpoint{Applied: n})
		tell("applied", n)
	}
	if err != nil {
		return err
	}
	return s.Close()
}

// load writes the first batches as a restore does into an empty store.
func load(s *statestore.Store, c statestore.Checkpoint) error {
	if err := s.Load(); err != nil {
		return err
	}
	for n := int64(1); n <= c.Applied; n++ {
		if err := s.Apply(batch(n), statestore.Checkpoint{}); err != nil {
			return err
		}
	}
	return s.Loaded(c)
}

func tell(what string, n int64) {
	fmt.Println(what, n)
	_, _ = io.ReadFull(os.Stdin, make([]byte, 1)) // when nobody listens any more, the power is off
}
