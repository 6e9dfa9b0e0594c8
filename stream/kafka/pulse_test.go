package kafka_test

import (
	"context"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/freshet-dev/freshet/schemas"
	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/kafka"
)

// lifeless is how long a loop may stand still, as control has it.
const lifeless = 30 * time.Second

// turns watches loops for a while: none may stand still.
func (s *scene) turns(during time.Duration, pulses ...*kafka.Pulse) {
	s.Helper()
	for end := time.Now().Add(during); time.Now().Before(end); s.wait(time.Second) {
		for _, p := range pulses {
			if still := p.Still(); still >= lifeless {
				s.Fatalf("a loop has stood still for %s", still)
			}
		}
	}
}

// TestLoopTurnsWhileATargetIsAway: whether it refuses, or takes minutes to answer.
func TestLoopTurnsWhileATargetIsAway(t *testing.T) {
	for name, answer := range map[string]func(letGo <-chan struct{}) error{
		"refuses": func(letGo <-chan struct{}) error {
			select {
			case <-letGo:
				return nil
			default:
				return stream.Errorf(stream.Transient, "apply", "connection refused")
			}
		},
		"silent": func(letGo <-chan struct{}) error { <-letGo; return nil },
	} {
		for _, method := range []string{"assign", "apply"} {
			t.Run(name+" "+method, func(t *testing.T) {
				play(t, func(s *scene) {
					letGo := make(chan struct{})
					s.shelf.before = func(m string, _ stream.Batch) error {
						if m != method {
							return nil
						}
						return answer(letGo)
					}
					p := s.start()
					s.load(1)
					s.turns(5*time.Minute, &p.proc.Pulse, &p.deliver.Pulse)
					close(letGo)
					s.settle(p)
					s.expect()
				})
			})
		}
	}
}

// TestLoopTurnsWhileTheBrokerIsAway: a restart would not bring it back.
func TestLoopTurnsWhileTheBrokerIsAway(t *testing.T) {
	playReal(t, func(s *scene) {
		p := s.start(s.at("F6", 2, func() {}))
		s.load(1)
		s.settle(p)
		p.link.sever()
		s.load(2)
		s.turns(lifeless+10*time.Second, &p.proc.Pulse, &p.deliver.Pulse)
		p.link.restore()
		s.settle(p)
		s.expect()
	})
}

// TestLoopTurnsWhileAPartitionIsRestored, however long it takes; until then the process is not ready.
func TestLoopTurnsWhileAPartitionIsRestored(t *testing.T) {
	play(t, func(s *scene) {
		s.filled()
		s.stores.lose()
		letGo := make(chan struct{})
		s.stores.interrupt = func(int) error { <-letGo; return nil }
		p := s.start()
		s.turns(5*time.Minute, &p.proc.Pulse, &p.deliver.Pulse)
		if missing := p.proc.Missing(); len(missing) != partitions || !strings.Contains(missing[0], "is being restored") {
			t.Errorf("while partitions are restored: %q", missing)
		}
		close(letGo)
		s.settle(p)
		if missing := append(p.proc.Missing(), p.deliver.Missing()...); len(missing) > 0 {
			t.Errorf("when all is done: %q", missing)
		}
		// A member without partitions has nothing to restore.
		q := s.start(replica(newStores(), ""))
		r := s.start(replica(newStores(), ""))
		last := s.start(replica(newStores(), ""))
		s.until("all are ready", func() bool {
			return len(slices.Concat(p.proc.Missing(), q.proc.Missing(), r.proc.Missing(), last.proc.Missing())) == 0
		})
	})
}

// TestNotReadyBeforeItJoined: without its groups a process gets no work.
func TestNotReadyBeforeItJoined(t *testing.T) {
	play(t, func(s *scene) {
		var reachable atomic.Bool
		dial := s.dial
		s.dial = func(ctx context.Context, network, host string) (net.Conn, error) {
			if !reachable.Load() {
				return nil, &net.OpError{Op: "dial", Net: "virtual", Err: net.ErrClosed}
			}
			return dial(ctx, network, host)
		}
		p := s.start()
		s.wait(10 * time.Second)
		missing := append(p.proc.Missing(), p.deliver.Missing()...)
		if want := []string{"not a member of group lines yet", "not a member of group lines.shelf yet"}; !slices.Equal(missing, want) {
			t.Errorf("missing is %q, want %q", missing, want)
		}
		reachable.Store(true)
		s.until("it is ready", func() bool { return len(append(p.proc.Missing(), p.deliver.Missing()...)) == 0 })
	})
}

// stuck is a decoder that never returns from a file that contains "stuck".
type stuck struct {
	stream.Decoder
	letGo chan struct{}
}

func (d stuck) Decode(r *stream.Record) (stream.Change, error) {
	if strings.Contains(string(r.Value), "stuck") {
		<-d.letGo
	}
	return d.Decoder.Decode(r)
}

// TestLoopStandsStill: what hangs inside the process is seen.
func TestLoopStandsStill(t *testing.T) {
	play(t, func(s *scene) {
		letGo := make(chan struct{})
		p := s.start(func(c *setup) { c.decoder = stuck{schemas.NewFiles("page"), letGo} })
		s.load(1)
		s.settle(p)
		s.write("00.md", "stuck")
		s.until("it is noticed", func() bool { return p.proc.Pulse.Still() >= lifeless })
		s.turns(time.Minute, &p.deliver.Pulse)
		close(letGo)
		s.settle(p)
		s.turns(time.Minute, &p.proc.Pulse)
		s.expect()
	})
}

// TestWriteUnderWayIsFinished: a process that is asked to end lets the target finish what it began, takes up nothing new,
// and Kafka knows how far it came.
func TestWriteUnderWayIsFinished(t *testing.T) {
	play(t, func(s *scene) {
		var mu sync.Mutex
		began, letGo := make(chan struct{}), make(chan struct{})
		writes := 0
		s.shelf.before = func(method string, _ stream.Batch) error {
			if method != "apply" {
				return nil
			}
			mu.Lock()
			writes++
			first := writes == 1
			mu.Unlock()
			if first {
				close(began)
				<-letGo
			}
			return nil
		}
		p := s.start()
		s.write("a.md", "one")
		<-began
		ended := make(chan error, 1)
		go func() { ended <- p.stop() }()
		s.wait(time.Second)
		s.write("b.md", "two")
		s.wait(time.Second)
		close(letGo)
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		if got := s.shelf.list(); got != "page/a.md ONE" || writes != 1 {
			t.Errorf("the target holds %q after %d writes", got, writes)
		}
		fetched, err := s.admin().FetchOffsets(s.Context(), kafka.TargetGroup("lines", "shelf"))
		if err != nil {
			t.Fatal(err)
		}
		for id, part := range s.shelf.parts {
			if o, ok := fetched.Lookup("lines.rows", id); part.applied.Next > 0 && (!ok || o.At != part.applied.Next) {
				t.Errorf("partition %d is at %d, Kafka says %+v", id, part.applied.Next, o)
			}
		}
		p = s.start()
		s.settle(p)
		s.expect()
	})
}

// TestWriteThatDoesNotEnd: a process that is asked to end waits for a target only so long.
func TestWriteThatDoesNotEnd(t *testing.T) {
	play(t, func(s *scene) {
		began := make(chan struct{})
		hang := &hanging{shelf: s.shelf, began: began}
		p := s.start(func(c *setup) { c.delivery.Sink = hang })
		s.write("a.md", "one")
		<-began
		asked := time.Now()
		s.end(p)
		if took := time.Since(asked); took < 5*time.Second || took > 20*time.Second {
			t.Errorf("it ended after %s", took)
		}
		p = s.start()
		s.settle(p)
		s.expect()
	})
}

// hanging is a target that answers no write until its context ends.
type hanging struct {
	*shelf
	once  sync.Once
	began chan struct{}
}

func (h *hanging) Apply(ctx context.Context, _ stream.Batch) error {
	h.once.Do(func() { close(h.began) })
	<-ctx.Done()
	return stream.Errorf(stream.Transient, "apply", "%w", ctx.Err())
}
