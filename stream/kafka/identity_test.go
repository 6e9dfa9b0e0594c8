package kafka_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet-dev/freshet/schemas"
	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/kafka"
)

// harms are what may be done to a flow's topics from outside, and what a person is told of it.
var harms = map[string]struct {
	harm  func(s *scene)
	words []string
	meta  bool // the generation is lost with it
}{
	"source given more partitions (F29)": {harm: func(s *scene) { s.grow(s.source.Topic) },
		words: []string{"compare topic lines.files.page", "has 5 partitions, it had 3"}},
	"rows given more partitions (F29)": {harm: func(s *scene) { s.grow("lines.rows") },
		words: []string{"compare topic lines.rows", "has 5 partitions, it had 3"}},
	"changelog given more partitions (F29)": {harm: func(s *scene) { s.grow("lines.changelog") },
		words: []string{"compare topic lines.changelog", "has 5 partitions, it had 3"}},
	"source created anew (F21)": {harm: func(s *scene) { s.recreate(s.source.Topic, partitions) },
		words: []string{"compare topic lines.files.page", "deleted and created anew"}},
	"source created anew, smaller (F21)": {harm: func(s *scene) { s.recreate(s.source.Topic, 2) },
		words: []string{"compare topic lines.files.page", "deleted and created anew"}},
	"rows created anew (F21)": {harm: func(s *scene) { s.recreate("lines.rows", partitions) },
		words: []string{"compare topic lines.rows", "deleted and created anew"}},
	"changelog created anew (F21)": {harm: func(s *scene) { s.recreate("lines.changelog", partitions) },
		words: []string{"compare topic lines.changelog", "deleted and created anew"}},
	"source deleted (F21)": {harm: func(s *scene) { s.drop(s.source.Topic) },
		words: []string{"compare topic lines.files.page", "it was deleted"}},
	"rows deleted (F21)": {harm: func(s *scene) { s.drop("lines.rows") },
		words: []string{"compare topic lines.rows", "it was deleted"}},
	"changelog deleted (F21)": {harm: func(s *scene) { s.drop("lines.changelog") },
		words: []string{"compare topic lines.changelog", "it was deleted"}},
	"meta deleted (F21)": {harm: func(s *scene) { s.drop("lines.meta") }, meta: true,
		words: []string{"lines.meta", "deleted"}},
	"meta created anew (F21)": {harm: func(s *scene) { s.recreate("lines.meta", 1) }, meta: true,
		words: []string{"lines.meta", "deleted"}},
}

// grow gives a topic two partitions more.
func (s *scene) grow(topic string) {
	s.Helper()
	if _, err := s.admin().UpdatePartitions(s.Context(), partitions+2, topic); err != nil {
		s.Fatal(err)
	}
}

// TestTopicsHarmedWhileStopped: the next start is refused before it makes or writes anything, and names the command that
// helps; after it the flow goes on, with versions above all that were.
func TestTopicsHarmedWhileStopped(t *testing.T) {
	for name, c := range harms {
		t.Run(name, func(t *testing.T) {
			play(t, func(s *scene) {
				s.source.Planned = 0
				s.reset(6)
				s.filled()
				c.harm(s)
				before := s.listed()
				for range 2 { // being told once changes nothing
					_, err := s.cluster.EnsureTopics(s.Context(), "lines", s.source)
					saysAll(t, err, stream.Usage, append(c.words, "freshet reset")...)
				}
				if after := s.listed(); after != before {
					t.Errorf("topics before %s, after %s", before, after)
				}
				if g := s.reset(0); g.Generation != 8 {
					t.Errorf("generation %d after 7", g.Generation)
				}
				s.again()
			})
		})
	}
}

// again lets the flow work after a reset, from the source as it is now, and compares.
func (s *scene) again() {
	s.Helper()
	p := s.start()
	for path, content := range s.files { // where the source was created anew its files are written again
		s.write(path, content)
	}
	s.load(1)
	s.settle(p)
	s.until("swept", func() bool { return len(s.shelf.swept()) >= int(s.topics.Partitions) })
	s.expect()
}

// listed are the names of all topics.
func (s *scene) listed() string {
	s.Helper()
	topics, err := s.admin().ListTopics(s.Context())
	if err != nil {
		s.Fatal(err)
	}
	text := ""
	for _, d := range topics.Sorted() {
		text += d.Topic + " "
	}
	return text
}

// watched is a watch under way.
type watched struct {
	s      *scene
	ended  chan error
	cancel context.CancelFunc
	mu     sync.Mutex
	last   error
	told   int
}

func (s *scene) watch() *watched {
	ctx, cancel := context.WithCancel(s.Context())
	w := &watched{s: s, ended: make(chan error, 1), cancel: cancel}
	go func() {
		w.ended <- s.cluster.Watch(ctx, s.topics, func(err error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.last = err
			w.told++
		})
	}()
	return w
}

func (w *watched) trouble() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.last
}

// quiet lets the watch look again, and checks that it finds nothing.
func (w *watched) quiet() {
	w.s.Helper()
	w.mu.Lock()
	before := w.told
	w.mu.Unlock()
	w.s.until("the watch looks again", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.told > before+1
	})
	if err := w.trouble(); err != nil {
		w.s.Errorf("trouble: %v", err)
	}
}

// TestTopicsHarmedWhileRunning: the flow halts, and names the command that helps.
func TestTopicsHarmedWhileRunning(t *testing.T) {
	t.Parallel()
	for name, c := range harms {
		t.Run(name, func(t *testing.T) {
			playReal(t, func(s *scene) {
				s.source.Planned = 0
				p := s.start()
				w := s.watch()
				for i, path := range paths(9) {
					s.write(path, string(rune('a'+i)))
				}
				s.settle(p)
				w.quiet()
				c.harm(s)
				select {
				case err := <-w.ended:
					words := append([]string{"flow lines halts", "freshet reset"}, c.words...)
					saysAll(t, err, stream.Usage, words...)
				case <-time.After(2 * time.Minute):
					t.Fatal("the watch goes on")
				}
				_ = p.stop() // it may have halted by itself, with a message of its own
				if g := s.reset(0); g.Generation != 2 {
					t.Errorf("generation %d after 1", g.Generation)
				}
				s.again()
			})
		})
	}
}

// TestTopicsThatCanNotBeSeen are waited for: a right that was taken, brokers that are away, and a broker that has not heard
// of a topic for a moment.
func TestTopicsThatCanNotBeSeen(t *testing.T) {
	for name, c := range map[string]struct {
		err  *kerr.Error
		long bool
	}{
		"unauthorised": {kerr.TopicAuthorizationFailed, true},
		"no leader":    {kerr.LeaderNotAvailable, true},
		"unknown":      {kerr.UnknownTopicOrPartition, false},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, func(s *scene) {
				p := s.start()
				w := s.watch()
				s.load(0)
				s.settle(p)
				h := s.broker.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Metadata}, Topic: "lines.rows", Err: c.err, Count: -1})
				s.until("it is told", func() bool { return w.trouble() != nil })
				if c.long {
					s.wait(10 * time.Minute)
				} else {
					s.wait(10 * time.Second)
				}
				if err := w.trouble(); !errors.Is(err, c.err) && c.long {
					t.Errorf("trouble: %v", err)
				}
				h.Remove()
				s.until("it is over", func() bool { return w.trouble() == nil })
				s.load(1)
				s.settle(p)
				s.expect()
				w.cancel()
				if err := <-w.ended; err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestResetCutShort: between a reset that was cut down and its repetition nothing starts.
func TestResetCutShort(t *testing.T) {
	play(t, func(s *scene) {
		s.filled()
		h := s.broker.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.DeleteGroups}, Err: kerr.ClusterAuthorizationFailed, Count: -1})
		if _, err := s.cluster.Reset(s.Context(), "lines", s.source, 0); err == nil {
			t.Fatal("the reset succeeded")
		}
		h.Remove()
		_, err := s.cluster.EnsureTopics(s.Context(), "lines", s.source)
		saysAll(t, err, stream.Usage, "freshet reset")
		if g := s.reset(0); g.Generation != 3 {
			t.Errorf("generation %d after a reset to 2 that was cut short", g.Generation)
		}
		s.again()
	})
}

// TestFlowOfAnOlderFreshet recorded no topics: they are recorded by the next start.
func TestFlowOfAnOlderFreshet(t *testing.T) {
	play(t, func(s *scene) {
		s.filled()
		s.recreate("lines.meta", 1)
		generation, err := schemas.EncodeGeneration(s.topics.Generation)
		if err != nil {
			t.Fatal(err)
		}
		p, err := s.cluster.OpenPublisher("lines.meta")
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		if err := p.Publish(s.Context(), []stream.Record{generation}); err != nil {
			t.Fatal(err)
		}
		s.ensure()
		s.recreate("lines.rows", partitions)
		_, err = s.cluster.EnsureTopics(s.Context(), "lines", s.source)
		saysAll(t, err, stream.Usage, "compare topic lines.rows", "created anew")
	})
}

// TestReplicasThatStartTogether find the same.
func TestReplicasThatStartTogether(t *testing.T) {
	play(t, func(s *scene) {
		found := make(chan kafka.Topics, 4)
		for range 4 {
			go func() {
				got, err := s.cluster.EnsureTopics(s.Context(), "fresh", kafka.Source{Topic: "fresh.files.page", Ours: true})
				if err != nil {
					t.Error(err)
				}
				found <- got
			}()
		}
		first := <-found
		for range 3 {
			if other := <-found; other.RowsID != first.RowsID || other.Recorded.Topics["fresh.meta"] != first.Recorded.Topics["fresh.meta"] {
				t.Errorf("%+v and %+v", first, other)
			}
		}
		if _, err := s.cluster.EnsureTopics(s.Context(), "fresh", kafka.Source{Topic: "fresh.files.page", Ours: true}); err != nil {
			t.Error(err)
		}
	})
}

// TestResetOfAGrownSource: another writer's topic has to be written again before a reset helps, since a document's changes
// lie in two partitions of it.
func TestResetOfAGrownSource(t *testing.T) {
	play(t, func(s *scene) {
		s.filled()
		s.grow(s.source.Topic)
		theirs := kafka.Source{Topic: s.source.Topic}
		_, err := s.cluster.EnsureTopics(s.Context(), "lines", theirs)
		saysAll(t, err, stream.Usage, "has 5 partitions, it had 3")
		_, err = s.cluster.Reset(s.Context(), "lines", theirs, 0)
		saysAll(t, err, stream.Usage, "has 5 partitions, it had 3", "new snapshot", "freshet reset")
		s.recreate(s.source.Topic, 5)
		s.source = theirs
		if g := s.reset(0); g.Generation != 2 {
			t.Errorf("generation %d", g.Generation)
		}
		s.again()
	})
}
