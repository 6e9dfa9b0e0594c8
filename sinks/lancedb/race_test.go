package lancedb

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/freshet-dev/freshet/internal/testenv"
	"github.com/freshet-dev/freshet/sinks/guard"
	"github.com/freshet-dev/freshet/stream"
)

// rivals are stores of as many processes over one table.
func rivals(t *testing.T, count int) []*store {
	t.Helper()
	set := stream.Settings{Values: stream.MapOf(stream.Entry{Key: "namespace", Value: stream.ListOf(stream.StringOf(testenv.Name(t)))},
		stream.Entry{Key: "url", Value: stream.StringOf(testenv.SharedLance(t).URL())})}
	all := make([]*store, count)
	for n := range all {
		sink, err := New(stream.SinkConfig{Settings: set, Tables: []stream.TargetTable{{Table: stream.Table{Name: "notes"}}}})
		if err != nil {
			t.Fatal(err)
		}
		all[n] = sink.(*Sink).store
		t.Cleanup(func() { _ = all[n].Close() })
	}
	together(t, all, func(s *store) error { // who opens at the same time as others makes nothing twice
		if err := s.Open(t.Context()); err != nil {
			return err
		}
		return s.Create(t.Context(), s.tables["notes"].Table)
	})
	return all
}

func together(t *testing.T, all []*store, do func(*store) error) {
	t.Helper()
	var group sync.WaitGroup
	for _, s := range all {
		group.Go(func() {
			if err := do(s); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
}

const keys = 20

// draws makes writes of keys, and knows the newest of each.
type draws struct {
	mu     sync.Mutex
	random *rand.Rand
	newest map[string]stream.Version
}

func (d *draws) items() []guard.Item {
	d.mu.Lock()
	defer d.mu.Unlock()
	items := make([]guard.Item, keys/2)
	for n, key := range d.random.Perm(keys)[:keys/2] {
		i := &items[n]
		i.Document, i.Version, i.Epoch = fmt.Sprint(key), stream.Version{Generation: 1, Offset: d.random.Int64N(1 << 40)}, 1
		if d.newest[i.Document].Before(i.Version) {
			d.newest[i.Document] = i.Version
		}
	}
	return items
}

// TestRacingWriters: writers of several processes put the same keys, new ones among them, and one removes tombstones: each key is there once, and
// holds the newest version that anybody put.
func TestRacingWriters(t *testing.T) {
	all := rivals(t, 4)
	tombstones := make([]guard.Item, keys)
	for n := range tombstones {
		tombstones[n].Document, tombstones[n].Delete = fmt.Sprint(n), true
	}
	if err := all[0].Put(t.Context(), "notes", tombstones[:keys/2]); err != nil {
		t.Fatal(err)
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	d := draws{random: rand.New(rand.NewPCG(seed, 0)), newest: map[string]stream.Version{}}
	together(t, all, func(s *store) error {
		for range 8 {
			if err := s.Put(t.Context(), "notes", d.items()); err != nil {
				return err
			}
			if err := s.Collect(t.Context(), "notes", guard.Range{Below: stream.Version{Generation: 2}}, time.Now()); err != nil {
				return err
			}
		}
		return nil
	})
	held := map[string]stream.Version{}
	err := all[0].Read(t.Context(), "notes", func(i guard.Item) error {
		if _, twice := held[i.Document]; twice {
			t.Errorf("row %s is there twice", i.Document)
		}
		held[i.Document] = i.Version
		return nil
	})
	if err != nil || fmt.Sprint(held) != fmt.Sprint(d.newest) {
		t.Errorf("the table holds %v (%v), want %v", held, err, d.newest)
	}
}

// TestRacingSwaps: of several processes that make a document, or replace the same one, one does.
func TestRacingSwaps(t *testing.T) {
	all := rivals(t, 4)
	for round := range 10 {
		read, err := all[0].Get(t.Context(), "place")
		if err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		var won []guard.Document
		together(t, all, func(s *store) error {
			d, err := s.Swap(t.Context(), read, fmt.Appendf(nil, "%p in round %d", s, round))
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won = append(won, d)
			} else if errors.Is(err, guard.ErrConflict) {
				err = nil
			}
			return err
		})
		now, err := all[0].Get(t.Context(), "place")
		if err != nil || len(won) != 1 || fmt.Sprint(now) != fmt.Sprint(won[0]) {
			t.Fatalf("round %d: %v won, and the document is %v (%v)", round, won, now, err)
		}
	}
}
