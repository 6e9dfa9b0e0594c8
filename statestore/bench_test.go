package statestore

import (
	"crypto/rand"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
)

func filled(b *testing.B, n int) *Store {
	s := openAt(b, filepath.Join(b.TempDir(), "p3"))
	b.Cleanup(func() { _ = s.Close() })
	value := make([]byte, 1<<10)
	for from := 0; from < n; from += 1000 {
		entries := make([]Entry, 1000)
		for i := range entries {
			_, _ = rand.Read(value)
			entries[i] = Entry{Key: key(from + i), Value: append([]byte(nil), value...)}
		}
		if err := s.Apply(entries, Checkpoint{Applied: int64(from)}); err != nil {
			b.Fatal(err)
		}
	}
	return s
}

func key(i int) []byte { return fmt.Appendf(nil, "document/%012d", i*7919%1_000_003) }

func BenchmarkGet(b *testing.B) {
	s := filled(b, 100_000)
	for _, c := range []struct {
		name string
		from int
		hit  bool
	}{{"hit", 0, true}, {"miss", 100_000, false}} {
		b.Run(c.name, func(b *testing.B) {
			i := 0
			for b.Loop() {
				i = (i + 7919) % 100_000
				if _, ok, err := s.Get(key(c.from + i)); ok != c.hit || err != nil {
					b.Fatal(ok, err)
				}
			}
		})
	}
}

func BenchmarkScanOfTenRows(b *testing.B) {
	s := filled(b, 100_000)
	for b.Loop() {
		n := 0
		if err := s.Scan([]byte("document/00000050"), nil, func(_, _ []byte) (bool, error) { n++; return n < 10, nil }); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkApply(b *testing.B) {
	for _, n := range []int{1, 500, 2000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := filled(b, 0)
			entries := make([]Entry, n)
			round := 0
			for b.Loop() {
				for i := range entries {
					entries[i] = Entry{Key: key(round*n + i), Value: make([]byte, 200)}
				}
				round++
				if err := s.Apply(entries, Checkpoint{Applied: int64(round)}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(round*n)/b.Elapsed().Seconds(), "keys/s")
		})
	}
}

// BenchmarkLoad loads a partition's vectors, or small entries, as a restore does.
func BenchmarkLoad(b *testing.B) {
	for _, c := range []struct {
		name          string
		entries, size int
	}{{"vectors", 50_000, 3 << 10}, {"small", 125_000, 80}} {
		b.Run(c.name, func(b *testing.B) {
			entries := make([]Entry, c.entries)
			for i := range entries {
				value := make([]byte, c.size)
				_, _ = rand.Read(value)
				entries[i] = Entry{Key: key(i), Value: value}
			}
			b.SetBytes(int64(c.entries * c.size))
			for b.Loop() {
				s := openAt(b, filepath.Join(b.TempDir(), "p3"))
				err := s.Load()
				for piece := range slices.Chunk(entries, 2500) {
					err = errors.Join(err, s.Apply(piece, Checkpoint{}))
				}
				if err = errors.Join(err, s.Loaded(Checkpoint{Applied: 1}), s.Close()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
