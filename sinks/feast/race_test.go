package feast

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/freshet-dev/freshet/internal/testenv"
	"github.com/freshet-dev/freshet/sinks/guard"
	"github.com/freshet-dev/freshet/stream"
)

// rivals are stores of as many processes over one table.
func rivals(t *testing.T, count int) []*store {
	t.Helper()
	server, name := testenv.SharedFeast(t), strings.ReplaceAll(testenv.Name(t), "__", "_")
	server.Apply(t, testenv.FeastBooks(name), testenv.FeastRows(name+"-notes", nil))
	set := stream.Settings{Values: stream.MapOf(stream.Entry{Key: "url", Value: stream.StringOf(server.URL())}, stream.Entry{Key: "books", Value: stream.StringOf(name)})}
	own := stream.Settings{Values: stream.MapOf(stream.Entry{Key: "view", Value: stream.StringOf(name + "-notes")}, stream.Entry{Key: "pages", Value: stream.IntOf(4)})}
	all := make([]*store, count)
	for n := range all {
		sink, err := New(stream.SinkConfig{Settings: set, Tables: []stream.TargetTable{{Table: stream.Table{Name: "notes"}, Settings: own}}})
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
		return s.Create(t.Context(), s.only().Table)
	})
	return all
}

func (s *store) only() *table {
	for _, t := range s.tables {
		return t
	}
	return nil
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

// TestRacingWriters: writers of several processes put the same rows, which share pages: each is there once, and holds the newest version that anybody put.
func TestRacingWriters(t *testing.T) {
	all := rivals(t, 4)
	const keys, rounds = 12, 6
	var mu sync.Mutex
	newest := map[string]stream.Version{}
	together(t, all, func(s *store) error {
		for range rounds {
			items := make([]guard.Item, keys/2)
			for n, key := range rand.Perm(keys)[:keys/2] {
				i := &items[n]
				i.Document, i.Version, i.Epoch = fmt.Sprint(key), stream.Version{Generation: 1, Offset: rand.Int64N(1 << 40)}, 1
				i.Over, i.Bound = i.Version, i.Version
				mu.Lock()
				if newest[i.Document].Before(i.Version) {
					newest[i.Document] = i.Version
				}
				mu.Unlock()
			}
			err := s.Put(t.Context(), s.only().As, items)
			for stream.KindOf(err) == stream.Transient && err != nil {
				err = s.Put(t.Context(), s.only().As, items)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	s, seen := all[0], 0
	err := s.Read(t.Context(), s.only().As, func(i guard.Item) error {
		if seen++; i.Version != newest[i.Document] {
			t.Errorf("row %s holds %v, want %v", i.Document, i.Version, newest[i.Document])
		}
		return nil
	})
	if err != nil || seen != len(newest) {
		t.Errorf("%d rows are there, want %d (%v)", seen, len(newest), err)
	}
}

// TestRacingSwaps: several processes raise one number, which is as high in the end as the swaps that succeeded were many.
func TestRacingSwaps(t *testing.T) {
	all := rivals(t, 4)
	const rounds = 10
	together(t, all, func(s *store) error {
		for done := 0; done < rounds; {
			d, err := s.Get(t.Context(), "number")
			if err != nil {
				return err
			}
			n, _ := strconv.Atoi(string(d.Body))
			switch _, err = s.Swap(t.Context(), d, []byte(strconv.Itoa(n+1))); {
			case err == nil:
				done++
			case !errors.Is(err, guard.ErrConflict):
				return err
			}
		}
		return nil
	})
	d, err := all[0].Get(t.Context(), "number")
	if want := strconv.Itoa(rounds * len(all)); err != nil || string(d.Body) != want {
		t.Errorf("the number is %s, want %s (%v)", d.Body, want, err)
	}
}
