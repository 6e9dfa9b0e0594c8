package engine_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/freshet-dev/freshet/stream"
)

// backlogged evaluates n documents, and opens the partition with a program that has to compute each anew.
func (s *scene) backlogged(t *testing.T, p *part, n int, change func(*stream.Node)) {
	t.Helper()
	s.must(t, p, words(n)...)
	s.finish(t, p, time.Minute)
	s.program = newBook(2, s.op)
	s.program.shout.Memo = stream.FingerprintBytes([]byte("shout louder"))
	change(s.program.shout)
	if err := s.restart(true); err != nil {
		t.Fatal(err)
	}
	if left := p.engine.Backlog(); left != n {
		t.Fatalf("%d documents in the backlog, want %d", left, n)
	}
}

// asked makes each call take a time, and notes when each word was first sent.
func (s *scene) asked(takes time.Duration) map[string]time.Time {
	at := map[string]time.Time{}
	s.op.fail = func(in []stream.Value) error {
		s.op.mu.Lock()
		for _, v := range in {
			if _, sent := at[v.Str()]; !sent {
				at[v.Str()] = time.Now()
			}
		}
		s.op.mu.Unlock()
		<-time.After(takes)
		return nil
	}
	return at
}

// Live changes wait for no call of the backlog, however many there are: not for a slot, nor for a turn under a rate.
func TestLiveCallsGoFirst(t *testing.T) {
	const gap = 100 * time.Millisecond
	for _, c := range []struct {
		rate   float64
		within time.Duration // from one live call to the next
	}{{0, 5 * time.Millisecond}, {10, gap + 5*time.Millisecond}} {
		t.Run(fmt.Sprint(c.rate), func(t *testing.T) {
			inTime(t, func(t *testing.T, s *scene, p *part) {
				s.op.batch, s.budget = 1, 10*time.Millisecond
				s.backlogged(t, p, 60, func(n *stream.Node) { n.Rate, n.Limit = c.rate, "small" })
				at := s.asked(2 * gap)
				if _, err := s.commit(p, nil, 60); err != nil {
					t.Fatal(err)
				}
				for i := range 6 {
					<-time.After(730 * time.Millisecond)
					word, begun := fmt.Sprint("live", i), time.Now()
					s.must(t, p, write{"live", "title=T body=" + word})
					<-time.After(c.within)
					s.op.mu.Lock()
					sent := at[word]
					s.op.mu.Unlock()
					if d := sent.Sub(begun); sent.IsZero() || d > c.within {
						t.Errorf("live change %d was sent after %v, want at most %v", i, d, c.within)
					}
				}
				s.finish(t, p, 2*time.Minute)
				if len(at) != 66 || p.engine.Stats().Documents != 61 {
					t.Errorf("%d words were sent, of %+v", len(at), p.engine.Stats())
				}
			})
		})
	}
}

// A live change that needs what the backlog has asked for already, under a rate, makes it urgent.
func TestLiveCallHurriesTheBacklogs(t *testing.T) {
	inTime(t, func(t *testing.T, s *scene, p *part) {
		s.op.batch, s.budget = 1, 10*time.Millisecond
		s.backlogged(t, p, 4, func(n *stream.Node) { n.Rate, n.Limit = 0.1, "small" })
		at := s.asked(0)
		unsent := func() (word string) {
			s.op.mu.Lock()
			defer s.op.mu.Unlock()
			for i := range 4 {
				if w := fmt.Sprint("word", i); at[w].IsZero() {
					word = w
				}
			}
			return word
		}
		if _, err := s.commit(p, nil, 4); err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Second) // one is sent, three wait for their turns
		for i := range 2 {
			word := unsent()
			s.must(t, p, write{fmt.Sprint("live", i), "title=T body=" + word})
			<-time.After(10 * time.Second)
			s.op.mu.Lock()
			if at[word].IsZero() {
				t.Errorf("%s, which a live change needs, was not sent at the next turn", word)
			}
			s.op.mu.Unlock()
		}
	})
}
