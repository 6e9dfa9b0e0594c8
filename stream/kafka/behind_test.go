package kafka_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/freshet-dev/freshet/stream"
)

// unhurried is a shouter of which each call takes a time.
type unhurried struct{ shouter }

const callTakes = 50 * time.Millisecond

func (u unhurried) Apply(ctx context.Context, in []stream.Value) ([]stream.Value, error) {
	<-time.After(callTakes)
	return u.shouter.Apply(ctx, in)
}

// computing runs a program that computes each line anew, unhurriedly.
func computing(c *setup) {
	revision(2, false)(c)
	c.program = newLinesWith(unhurried{})
	c.program.logic, c.program.shout.Memo = "lines2", stream.FingerprintBytes([]byte("shout2"))
	c.delivery.Logic = c.program.Logic()
}

// arrivals notes when a target was first given each document.
type arrivals struct {
	mu sync.Mutex
	at map[string]time.Time
}

func (a *arrivals) note(_ string, b stream.Batch) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, u := range b.Units {
		if _, known := a.at[u.Document]; !known {
			a.at[u.Document] = time.Now()
		}
	}
	return nil
}

func (a *arrivals) of(document string) (at time.Time, came bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	at, came = a.at[document]
	return at, came
}

// TestLiveBesideABackfill: live changes don't wait for the rounds of a backfill, which takes its documents in portions, and gathers what
// is evaluated.
func TestLiveBesideABackfill(t *testing.T) {
	const documents, most = 1500, 512 + partitions*64
	play(t, func(s *scene) {
		var all []stream.Record
		for i := range documents {
			all = append(all, fileRecord(fmt.Sprintf("page-%d.md", i), fmt.Sprintf("%d is a line", i)))
		}
		s.publish(all...)
		p := s.start(revision(1, false))
		s.settle(p)
		p.stop()
		came := &arrivals{at: map[string]time.Time{}}
		s.shelf.before = came.note
		p = s.start(computing)
		evaluated := func() int { return int(p.totals.Snapshot().Evaluated) }
		s.until("it goes on in portions", func() bool { return evaluated() > 300 })
		begun, before, commits := time.Now(), evaluated(), p.proc.Metrics.Commits.Load()
		for i := range 10 {
			s.wait(time.Duration(210+13*i) * time.Millisecond)
			path, sent := fmt.Sprintf("live-%d.md", i), time.Now()
			s.publish(fileRecord(path, fmt.Sprintf("live %d comes", i)))
			s.until("it arrives", func() bool { _, arrived := came.of("page/" + path); return arrived })
			if at, _ := came.of("page/" + path); at.Sub(sent) > callTakes+30*time.Millisecond {
				t.Errorf("live change %d arrived after %v", i, at.Sub(sent))
			}
			if b := p.proc.Backfill(); b == nil || documents-int(b.Left)-evaluated() > most {
				t.Errorf("%d evaluated, left of the backlog: %+v", evaluated(), b)
			}
		}
		took := time.Since(begun)
		commits = p.proc.Metrics.Commits.Load() - commits
		if rate := float64(evaluated()-before) / took.Seconds(); rate < 0.8*3*3/callTakes.Seconds() {
			t.Errorf("%.0f documents a second are evaluated", rate)
		}
		if allowed := int64(took/(100*time.Millisecond)) + 3; commits > allowed {
			t.Errorf("%d transactions in %v, want at most %d", commits, took, allowed)
		}
		s.settle(p)
		if n := evaluated(); n != documents+10 {
			t.Errorf("%d documents were evaluated, want each once", n)
		}
	})
}
