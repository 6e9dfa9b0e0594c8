package kafka_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/freshet-dev/freshet/stream"
)

// TestForget: a document is forgotten while others change; the target loses its rows, a replica that restores knows
// nothing of it, and its next change brings it back.
func TestForget(t *testing.T) {
	play(t, func(s *scene) {
		s.filled()
		p := s.start()
		s.settle(p)
		s.write("05.md", "others\ngo on")
		out, held, err := p.proc.Forget(s.Context(), "page/04.md")
		if err != nil || !held || out.Document != "page/04.md" || out.Rows["lines"] != 2 || out.Memos == 0 || out.Input == 0 || out.At.IsZero() {
			t.Fatalf("got %+v (held: %t), %v", out, held, err)
		}
		delete(s.files, "04.md")
		s.until("the target is so far", func() bool {
			for _, part := range p.deliver.Status() {
				if part.Partition == out.Partition && part.Next >= out.Until {
					return true
				}
			}
			return false
		})
		s.settle(p)
		s.expect()
		s.consistent(p)
		if _, held, err := p.proc.Forget(s.Context(), "page/04.md"); held || err != nil {
			t.Errorf("forgotten again: held %t, %v", held, err)
		}
		if err := p.stop(); err != nil {
			t.Fatal(err)
		}
		s.stores = newStores()
		p = s.start()
		s.settle(p)
		if n := sum(p).Documents; n != int64(len(s.files)) {
			t.Errorf("%d documents were restored, want %d", n, len(s.files))
		}
		s.write("04.md", "line\nof 4")
		s.settle(p)
		s.expect()
		s.consistent(p)
	})
}

// TestForgetIsCut: whoever asks is told when the outcome is not known, and may ask again: it is done once.
func TestForgetIsCut(t *testing.T) {
	t.Parallel()
	for _, point := range points {
		t.Run(point, func(t *testing.T) {
			playReal(t, func(s *scene) {
				s.filled()
				var p *process
				p = s.start(s.at(point, 1, func() {
					p.link.sever()
					time.AfterFunc(time.Second, p.link.restore)
				}))
				s.until("it is ready", func() bool { return len(p.proc.Held()) == partitions })
				s.until("it is forgotten", func() bool {
					_, held, err := p.proc.Forget(s.Context(), "page/04.md")
					if err != nil && stream.KindOf(err) != stream.Transient {
						t.Fatal(err)
					}
					return err == nil && (held || len(p.proc.Held()) == partitions)
				})
				delete(s.files, "04.md")
				s.write("05.md", fmt.Sprint("after ", point))
				s.settle(p)
				s.expect()
				s.consistent(p)
			})
		})
	}
}
