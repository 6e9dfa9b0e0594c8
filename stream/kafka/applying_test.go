package kafka

import (
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/freshet-dev/freshet/stream"
)

// A partition waits for its own store, the round for all; what could not be written ends the session.
func TestSettling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow, broken := &write{done: make(chan struct{})}, &write{done: make(chan struct{})}
		p := &Processor{applying: &applying{by: map[int32]*write{0: slow, 1: broken}}}
		if err := p.wait(2); err != nil {
			t.Errorf("a partition of which nothing was committed: %v", err)
		}
		var folded, settled atomic.Bool
		go func() {
			if err := p.wait(0); err != nil {
				t.Error(err)
			}
			folded.Store(true)
		}()
		ended := make(chan error, 1)
		synctest.Wait()
		if folded.Load() {
			t.Error("a partition was looked at before its store was written")
		}
		go func() {
			ended <- p.settle()
			settled.Store(true)
		}()
		close(slow.done)
		synctest.Wait()
		if !folded.Load() || settled.Load() {
			t.Errorf("one of two is written: folded %t, settled %t", folded.Load(), settled.Load())
		}
		broken.err = errors.New("disk full")
		close(broken.done)
		if err := <-ended; !errors.Is(err, broken.err) || stream.KindOf(err) != stream.Transient {
			t.Errorf("%v, want a transient error that tells of the disk", err)
		}
		if err := p.settle(); err != nil || p.applying != nil {
			t.Errorf("settled twice: %v", err)
		}
	})
}
