//go:build synctests

package sim

import (
	"bytes"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

var (
	seedFlag   = flag.Uint64("seed", 0, "replay this seed alone")
	runsFlag   = flag.Int("runs", 40, "number of runs")
	badgerFlag = flag.Int("badger", 4, "number of runs on Badger")
	fromFlag   = flag.Uint64("from", 1, "first seed")
	keepFlag   = flag.String("keep", "", "directory for logs, and goroutines that do not come to rest, of runs with violations")
	hangFlag   = flag.Duration("hang", 10*time.Minute, "how long a run may take before all goroutines are printed")
)

const (
	leastFaults  = 3
	leastChanges = 500

	manyRuns     = 3000 // are to meet
	leastTriples = 1000 // different faults
)

// leastOf is how many of them there are to be of each kind.
var leastOf = map[string]int{"standbys": 500, "memos collected": 1000}

// tally is what all runs did together.
type tally struct {
	mu       sync.Mutex
	runs     int
	faults   int
	changes  int
	triples  map[triple]int
	kinds    map[string]int // runs that have a part that not all have
	buried   int
	restarts int
	failed   []uint64
	texts    []string // of the runs that failed
}

// TestSim plays one run per seed. A failing seed is printed; `-seed N -v` plays it again.
func TestSim(t *testing.T) {
	// A run allocates much and keeps little; a larger heap saves a fifth of the time.
	defer debug.SetGCPercent(debug.SetGCPercent(400))
	sum := &tally{triples: map[triple]int{}, kinds: map[string]int{}}
	if *seedFlag != 0 {
		one(t, *seedFlag, slog.New(slog.NewTextHandler(os.Stderr, nil)), sum, false)
		sum.report(t)
		return
	}
	several(t, *runsFlag, sum, false)
}

// TestSimOnBadger is TestSim with stores that are Badger's, on files in memory where the system has such. Its disks can fail
// before and after a write only.
func TestSimOnBadger(t *testing.T) {
	sum := &tally{triples: map[triple]int{}, kinds: map[string]int{}}
	if *seedFlag != 0 {
		one(t, *seedFlag, slog.New(slog.NewTextHandler(os.Stderr, nil)), sum, true)
		sum.report(t)
		return
	}
	several(t, *badgerFlag, sum, true)
}

// several plays n seeds, two at a time.
func several(t *testing.T, n int, sum *tally, badger bool) {
	var next atomic.Uint64
	next.Store(*fromFlag)
	end := *fromFlag + uint64(n)
	t.Run("seeds", func(t *testing.T) {
		for worker := range 2 {
			t.Run(fmt.Sprint(worker), func(t *testing.T) {
				t.Parallel()
				for seed := next.Add(1) - 1; seed < end; seed = next.Add(1) - 1 {
					quietly(t, seed, sum, badger)
				}
			})
		}
	})
	sum.report(t)
}

// quietly plays one seed, whose log is kept if it has violations.
func quietly(t *testing.T, seed uint64, sum *tally, badger bool) {
	if *keepFlag == "" {
		one(t, seed, slog.New(slog.DiscardHandler), sum, badger)
		return
	}
	var log bytes.Buffer
	w := one(t, seed, slog.New(slog.NewTextHandler(&log, nil)), sum, badger)
	if len(w.wrong) == 0 {
		return
	}
	text := fmt.Sprintf("%s\n\n%s\n%s", strings.Join(w.wrong, "\n\n"), w.stacks, log.String())
	if err := os.WriteFile(filepath.Join(*keepFlag, fmt.Sprintf("seed-%d-%d.txt", seed, time.Now().UnixNano())), []byte(text), 0o644); err != nil {
		t.Error(err)
	}
}

// one plays one seed.
func one(t *testing.T, seed uint64, log *slog.Logger, sum *tally, badger bool) (w *world) {
	root := ""
	if badger {
		root = diskRoot(t)
		defer func() {
			if err := os.RemoveAll(root); err != nil {
				t.Error(err)
			}
		}()
	}
	hung := time.AfterFunc(*hangFlag, func() { debug.SetTraceback("all"); panic(fmt.Sprintf("seed %d hangs", seed)) })
	defer hung.Stop()
	defer func() {
		if e := recover(); e != nil {
			debug.SetTraceback("all") // the goroutines of a bubble that did not end are in it
			panic(fmt.Sprintf("seed %d: %v", seed, e))
		}
	}()
	began := time.Now()
	defer func() {
		if took := time.Since(began); took > time.Minute {
			t.Logf("seed %d took %s", seed, took.Round(time.Second))
		}
	}()
	synctest.Test(t, func(t *testing.T) {
		w = newWorld(t, seed, log, root)
		w.try(w.play)
		w.close()
		sum.add(seed, w)
	})
	return w
}

// try calls fn, which may give up.
func (w *world) try(fn func()) {
	defer func() {
		if e := recover(); e != nil && e != errGaveUp {
			panic(e)
		}
	}()
	fn()
}

func (s *tally) add(seed uint64, w *world) {
	s.mu.Lock()
	defer s.mu.Unlock()
	faults := 0
	for k, n := range w.sprung {
		s.triples[k] += n
		faults += n
	}
	changes := 0
	for _, n := range w.model.sent {
		changes += int(n)
	}
	for _, kind := range w.kinds() {
		s.kinds[kind]++
	}
	s.buried, s.restarts = s.buried+w.buried, s.restarts+w.restarts
	s.runs, s.faults, s.changes = s.runs+1, s.faults+faults, s.changes+changes
	for _, target := range w.targets {
		w.wrong = append(w.wrong, target.problems()...)
	}
	if faults < leastFaults || changes < leastChanges {
		w.fault("only %d faults and %d changes", faults, changes)
	}
	if s.runs%250 == 0 {
		w.t.Logf("%d runs, %d distinct (fault, point, partition), %d runs with violations", s.runs, len(s.triples), len(s.failed))
	}
	if len(w.wrong) > 0 {
		s.failed = append(s.failed, seed)
		w.t.Logf("seed %d FAILED: %s", seed, w.wrong[0]) // at once, since the rest may take long
		s.texts = append(s.texts, fmt.Sprintf("seed %d: %d violations (again with: make sim SEED=%d), after %v:\n%s", seed, len(w.wrong), seed,
			slices.Collect(maps.Keys(w.sprung)), strings.Join(w.wrong[:min(3, len(w.wrong))], "\n")))
	}
}

func (s *tally) report(t *testing.T) {
	for _, text := range s.texts {
		t.Error(text)
	}
	kinds := map[string]int{}
	for k, n := range s.triples {
		kinds[k.fault] += n
	}
	for _, k := range slices.Sorted(maps.Keys(kinds)) {
		t.Logf("%7d %s", kinds[k], k)
	}
	if s.runs >= manyRuns && len(s.triples) < leastTriples {
		t.Errorf("only %d distinct (fault, point, partition), want %d", len(s.triples), leastTriples)
	}
	for kind, least := range leastOf {
		if s.runs >= manyRuns && s.kinds[kind] < least {
			t.Errorf("only %d runs with %s, want %d", s.kinds[kind], kind, least)
		}
	}
	t.Logf("runs with parts that not all have: %v", s.kinds)
	t.Logf("%d runs, %d changes, %d faults, %d distinct (fault, point, partition), %d dead members that the broker kept, "+
		"%d rebalances that it did not end, %d runs with violations %v", s.runs, s.changes, s.faults, len(s.triples), s.buried, s.restarts, len(s.failed), s.failed)
}
