package history

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/freshet-dev/freshet/stream"
)

// Freshness measures how long a change takes from before it is published until the last target shows what it did to the
// rows. Changes that leave the rows as they are have no freshness. Safe for concurrent use.
type Freshness struct {
	targets int

	mu      sync.Mutex
	began   time.Time
	shown   map[string]int // by document: targets that have its rows
	samples []time.Duration
}

// NewFreshness returns a measure over a number of targets.
func NewFreshness(targets int) *Freshness { return &Freshness{targets: targets} }

// Begin starts the clock of a commit. Everything before it has arrived.
func (f *Freshness) Begin() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.began, f.shown = time.Now(), map[string]int{}
}

func (f *Freshness) applied(units []stream.Unit) {
	now := time.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, u := range units {
		if f.shown == nil {
			return // work left over from before the first commit
		}
		if f.shown[u.Document]++; f.shown[u.Document] == f.targets {
			f.samples = append(f.samples, now.Sub(f.began))
		}
	}
}

// Quantile returns the quantile q, between 0 and 1, of all changes measured; 0 when there is none.
func (f *Freshness) Quantile(q float64) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.samples) == 0 {
		return 0
	}
	sorted := slices.Clone(f.samples)
	slices.Sort(sorted)
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

// Watch returns a sink specification whose sinks tell f what they have written.
func (f *Freshness) Watch(s stream.SinkSpec) stream.SinkSpec {
	open := s.New
	s.New = func(c stream.SinkConfig) (stream.Sink, error) {
		sink, err := open(c)
		return watched{sink, f}, err
	}
	return s
}

type watched struct {
	stream.Sink
	f *Freshness
}

// Apply implements stream.Sink.
func (w watched) Apply(ctx context.Context, b stream.Batch) error {
	err := w.Sink.Apply(ctx, b)
	if err == nil {
		w.f.applied(b.Units)
	}
	return err
}
