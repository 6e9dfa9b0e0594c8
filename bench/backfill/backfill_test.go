//go:build bench

// Package backfill measures what a backfill costs live changes, and they it: how long an edit takes from its record to its
// row, and how fast documents are evaluated anew, each alone and both at once.
package backfill

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"
)

const (
	mostSlower = 2.0 // p99 of edits beside a backfill, of what it is without
	leastRate  = 0.5 // of a backfill's rate beside edits, of what it is without
)

// number returns an environment variable's value, or otherwise.
func number(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return otherwise
}

// TestBackfill changes the flow's logic twice: with nothing else going on, and beside edits.
func TestBackfill(t *testing.T) {
	s := newScene(t, sizes{
		documents: number("FRESHET_BENCH_DOCUMENTS", 10_000),
		edits:     number("FRESHET_BENCH_EDITS", 20),
		batch:     number("FRESHET_BENCH_BATCH", 8),
		service:   time.Duration(number("FRESHET_BENCH_SERVICE_MS", 50)) * time.Millisecond,
	})
	s.fill()
	s.start("one")
	s.await("one", s.documents)

	alone := s.edit(s.after(20 * time.Second))
	t.Logf("edits alone         %s", alone)

	s.apply("two")
	unloaded := s.backfill("two")
	t.Logf("backfill alone      %.0f documents/s", unloaded)

	s.apply("three")
	s.await("three", 1)
	rate := make(chan float64, 1)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		rate <- s.backfill("three")
	}()
	beside := s.edit(ended)
	loaded := <-rate
	t.Logf("edits and backfill  %s, %.0f documents/s", beside, loaded)

	judge(t, "p99 of edits, of what it is alone", float64(beside.p(99))/float64(alone.p(99)), mostSlower, false)
	judge(t, "rate of the backfill, of what it is alone", loaded/unloaded, leastRate, true)
	s.settled("three")
}

// judge prints a ratio and holds it against its limit.
func judge(t *testing.T, what string, ratio, limit float64, least bool) {
	t.Helper()
	word := "at most"
	if least {
		word = "at least"
	}
	if ratio != limit && ratio < limit == least {
		t.Errorf("%-42s %.2f, %s %.1f: MISSED", what, ratio, word, limit)
		return
	}
	t.Logf("%-42s %.2f, %s %.1f: holds", what, ratio, word, limit)
}

// times are how long edits took, in order.
type times []time.Duration

func (all times) p(percent int) time.Duration { return all[len(all)*percent/100] }

// String implements fmt.Stringer.
func (all times) String() string {
	ms := func(d time.Duration) string { return strconv.FormatFloat(d.Seconds()*1000, 'f', 0, 64) }
	return fmt.Sprintf("%d edits, p50 %s ms, p99 %s ms, longest %s ms", len(all), ms(all.p(50)), ms(all.p(99)), ms(all[len(all)-1]))
}

// edit changes documents at the steady rate until ended closes, and returns how long each took to be seen.
func (s *scene) edit(ended <-chan struct{}) times {
	s.t.Helper()
	random := rand.New(rand.NewPCG(uint64(s.edition), 1))
	w := s.watch()
	defer w.close()
	for next := time.Now(); ; {
		next = next.Add(time.Duration(random.Int64N(int64(2*time.Second) / int64(s.edits))))
		select {
		case <-time.After(time.Until(next)): // each edit meets the processor at another point of what it does
		case <-s.ended:
			s.t.Fatalf("freshet ended: %s", s.out.String())
		case <-ended:
			took := w.rest(s.t)
			slices.Sort(took)
			return took
		}
		s.edition++
		id := random.IntN(s.documents)
		if w.expect(id, s.edition) {
			s.produce(id, s.edition)
		}
	}
}

// backfill returns how many documents a second are shown by the rule, between the first tenth of them and the last.
func (s *scene) backfill(rule string) float64 {
	from, began := s.reach(rule, s.documents/10)
	to, done := s.reach(rule, s.documents*9/10)
	return float64(to-from) / done.Sub(began).Seconds()
}
