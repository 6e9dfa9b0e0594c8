package cli

import (
	"log/slog"
	"testing"

	"github.com/freshet-dev/freshet/statestore"
)

// TestOpenWaitsForALook: a command that looks into a state does not keep a process from starting.
func TestOpenWaitsForALook(t *testing.T) {
	s := stores{flow: "notes", dir: t.TempDir(), log: slog.New(slog.DiscardHandler)}
	look, err := statestore.Open(s.path(1), statestore.Identity{Flow: "notes", Partition: 1}, s.log)
	if err != nil {
		t.Fatal(err)
	}
	opened := make(chan error, 1)
	go func() {
		store, err := s.Open(1)
		if err == nil {
			err = store.Close()
		}
		opened <- err
	}()
	if err := look.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-opened; err != nil {
		t.Error(err)
	}
}
