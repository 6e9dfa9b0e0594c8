package kafka_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet-dev/freshet/schemas"
	"github.com/freshet-dev/freshet/stream"
)

// reset begins a new generation, which must succeed.
func (s *scene) reset(above int64) schemas.Generation {
	s.Helper()
	g, err := s.cluster.Reset(s.Context(), "lines", s.source, above)
	if err != nil {
		s.Fatal(err)
	}
	s.ensure()
	return g
}

// ghost is a row of the first generation that nothing writes again.
var ghost = stream.RowWrite{RowID: stream.RowID{Table: "lines", Document: "page/ghost.md", Key: "boo"},
	Version: stream.Version{Generation: 1, Offset: 1}, Columns: []stream.Value{stream.StringOf("BOO")}}

// TestReset processes everything again under a higher generation; rows that are not written again go at the end of the
// first pass, none before.
func TestReset(t *testing.T) {
	play(t, func(s *scene) {
		s.filled()
		before := s.topics
		s.shelf.parts[0].rows[ghost.RowID] = ghost
		g := s.reset(0)
		if g.Generation != 2 || s.topics.Generation.Generation != 2 || s.topics.RowsID == before.RowsID ||
			s.topics.ChangelogID == before.ChangelogID || s.topics.SourceID != before.SourceID {
			t.Errorf("after a reset: %+v, before %+v", s.topics, before)
		}
		if n := len(s.committedOffsets()); n > 0 {
			t.Errorf("%d committed offsets left", n)
		}
		p := s.start()
		s.settle(p)
		s.until("the rows of the old generation are swept", func() bool { return len(s.shelf.swept()) == partitions })
		s.settle(p)
		s.expect()
		if got := s.shelf.generations(); !slices.Equal(got, []int64{2}) {
			t.Errorf("rows of generations %v, want 2 only", got)
		}
		if want := []string{"sweep 0 below 2.0", "sweep 1 below 2.0", "sweep 2 below 2.0"}; !slices.Equal(s.shelf.swept(), want) {
			t.Errorf("swept %v, want %v", s.shelf.swept(), want)
		}
		s.end(p)
		p = s.start()
		s.load(1)
		s.settle(p)
		s.expect()
		if n := len(s.shelf.swept()); n != partitions {
			t.Errorf("a later start swept again: %d", n)
		}
	})
}

// TestBackupOfBeforeTheSweep comes back right after it, while the delivery goes on: what was swept goes once more.
func TestBackupOfBeforeTheSweep(t *testing.T) {
	play(t, func(s *scene) {
		s.filled()
		s.shelf.parts[0].rows[ghost.RowID] = ghost
		s.reset(0)
		var backup *shelved
		restored := false
		s.shelf.before = func(method string, b stream.Batch) error {
			s.shelf.mu.Lock()
			defer s.shelf.mu.Unlock()
			part := s.shelf.part(0)
			switch {
			case b.Partition != 0:
			case method == "sweep" && backup == nil:
				backup = &shelved{applied: part.applied, epoch: part.epoch, rows: maps.Clone(part.rows)}
			case method == "apply" && backup != nil && !restored:
				*part, restored = *backup, true
			}
			return nil
		}
		p := s.start()
		s.until("the backup came back", func() bool {
			s.load(1)
			s.load(2)
			s.settle(p)
			s.shelf.mu.Lock()
			defer s.shelf.mu.Unlock()
			return restored
		})
		s.settle(p)
		s.expect()
		if got := s.shelf.generations(); !slices.Equal(got, []int64{2}) {
			t.Errorf("rows of generations %v, want 2 only", got)
		}
	})
}

// TestResetGoesAboveEveryTarget: a generation that a target knows is never used again.
func TestResetGoesAboveEveryTarget(t *testing.T) {
	play(t, func(s *scene) {
		if g := s.reset(41); g.Generation != 42 {
			t.Errorf("generation %d, want 42", g.Generation)
		}
		if g := s.reset(7); g.Generation != 43 {
			t.Errorf("generation %d, want 43", g.Generation)
		}
	})
}

func TestResetRefusesWhileReplicasRun(t *testing.T) {
	play(t, func(s *scene) {
		p := s.start()
		s.load(0)
		s.settle(p)
		_, err := s.cluster.Reset(s.Context(), "lines", s.source, 0)
		saysAll(t, err, stream.Usage, "1 replicas of group lines run", "stop them first")
		s.load(1)
		s.settle(p)
		s.expect()
		s.end(p)
		s.reset(0)
	})
}

// TestResetIsRepeatable ends it at every request that changes something; the next one does the rest.
func TestResetIsRepeatable(t *testing.T) {
	for _, key := range []kmsg.Key{kmsg.Produce, kmsg.DeleteTopics, kmsg.DeleteGroups, kmsg.CreateTopics} {
		for name, f := range map[string]kfake.Fault{
			"refused":     {Err: kerr.ClusterAuthorizationFailed, Count: -1},
			"answer lost": {Err: kerr.RequestTimedOut, Count: 1},
		} {
			t.Run(key.Name()+" "+name, func(t *testing.T) {
				play(t, func(s *scene) {
					s.filled()
					f.Keys = []kmsg.Key{key}
					h := s.broker.Cluster().Fault(f)
					ctx, cancel := context.WithTimeout(s.Context(), 20*time.Second)
					defer cancel()
					if _, err := s.cluster.Reset(ctx, "lines", s.source, 0); err == nil && name == "refused" {
						t.Error("the reset succeeded though the broker refused a part of it")
					}
					if h.Hits() == 0 {
						t.Fatal("the broker was never asked")
					}
					h.Remove()
					s.reset(0)
					p := s.start()
					s.settle(p)
					s.until("swept", func() bool { return len(s.shelf.swept()) == partitions })
					s.load(1)
					s.settle(p)
					s.expect()
					if got := s.shelf.generations(); len(got) != 1 || got[0] < 2 {
						t.Errorf("rows of generations %v", got)
					}
				})
			})
		}
	}
}

// TestResetKilledAtEveryRequest cuts it off when its n-th request has left, for every n. Whatever the broker did of it, the
// next reset does the rest, and the generation rises.
func TestResetKilledAtEveryRequest(t *testing.T) {
	for n := 1; ; n++ {
		whole := false
		if !t.Run(fmt.Sprint(n), func(t *testing.T) { whole = resetKilledAt(t, n) }) {
			return
		}
		if whole {
			if n < 15 {
				t.Errorf("it was cut off only %d times", n-1)
			}
			return
		}
	}
}

func resetKilledAt(t *testing.T, n int) (whole bool) {
	play(t, func(s *scene) {
		s.filled()
		ctx, cancel := context.WithCancel(s.Context())
		defer cancel()
		cut := &cutter{after: int64(n), kill: cancel, link: &link{dial: s.dial}}
		c := s.cluster
		c.Dial, c.Hooks = cut.link.open, []kgo.Hook{cut}
		_, err := c.Reset(ctx, "lines", s.source, 0)
		whole = err == nil // the answer to its last request came nevertheless, or there was no n-th one
		if g := s.reset(0); g.Generation < 2 || g.Generation > 3 {
			t.Errorf("generation %d", g.Generation)
		}
		s.again()
		if got := s.shelf.generations(); len(got) != 1 || got[0] < 2 {
			t.Errorf("rows of generations %v", got)
		}
	})
	return whole
}

// cutter ends a command when it has sent so many requests.
type cutter struct {
	sent  atomic.Int64
	after int64
	kill  func()
	link  *link
}

// OnBrokerWrite implements kgo.HookBrokerWrite.
func (c *cutter) OnBrokerWrite(_ kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, _ error) {
	if kmsg.Key(key) != kmsg.ApiVersions && c.sent.Add(1) == c.after {
		c.kill()
		go c.link.sever() // the request is on its way
	}
}

// TestResetAfterEveryHalt: the message of a halt names the command that helps.
func TestResetAfterEveryHalt(t *testing.T) {
	for name, harm := range map[string]func(s *scene){
		"the changelog emptied":   func(s *scene) { s.stores.lose(); s.truncate("lines.changelog") },
		"all topics created anew": func(s *scene) { s.recreate("lines.changelog", partitions); s.recreate("lines.rows", partitions) },
		"target ahead":            func(s *scene) { s.shelf.parts[1].applied.Next += 1000 },
	} {
		t.Run(name, func(t *testing.T) {
			play(t, func(s *scene) {
				s.filled()
				harm(s)
				p := s.start()
				p.halts(stream.Usage, "freshet reset")
				s.reset(0)
				p = s.start()
				s.until("swept", func() bool { return len(s.shelf.swept()) == partitions })
				s.load(1)
				s.settle(p)
				s.expect()
			})
		})
	}
}
