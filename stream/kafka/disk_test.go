package kafka_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/freshet-dev/freshet/statestore"
	"github.com/freshet-dev/freshet/stream"
)

// TestDiskIsFull (F23): the process waits for room, whether it meets the full disk when it applies a transaction or when it
// restores; then it goes on, and nothing is missing.
func TestDiskIsFull(t *testing.T) {
	for _, when := range []string{"applying", "restoring"} {
		t.Run(when, func(t *testing.T) {
			play(t, func(s *scene) {
				s.filled()
				var full atomic.Bool
				var tries atomic.Int64
				s.stores.interrupt = func(int) error {
					if !full.Load() {
						return nil
					}
					tries.Add(1)
					return &stream.Error{Op: "write", Kind: stream.Transient, Err: statestore.ErrFull}
				}
				if when == "restoring" {
					s.stores.lose()
					full.Store(true)
				}
				p := s.start()
				if when == "applying" {
					s.settle(p)
					full.Store(true)
				}
				s.load(1)
				s.turns(5*time.Minute, &p.proc.Pulse, &p.deliver.Pulse)
				if n := tries.Load(); n == 0 || n > 2000 {
					t.Errorf("%d tries in five minutes", n)
				}
				full.Store(false)
				s.settle(p)
				s.expect()
				s.consistent(p)
			})
		})
	}
}
