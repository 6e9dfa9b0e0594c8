package statestore

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/freshet-dev/freshet/stream"
)

// TestMain leaves aside what Badger leaves behind when it fails to open; a store that nobody closed shows by others.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/dgraph-io/ristretto/v2/z.(*AllocatorPool).freeupAllocators"),
		goleak.IgnoreTopFunction("github.com/dgraph-io/badger/v4.(*DB).monitorCache"),
		goleak.IgnoreTopFunction("github.com/dgraph-io/ristretto/v2.(*Cache[...]).processItems"),
		goleak.IgnoreTopFunction("github.com/dgraph-io/ristretto/v2.(*defaultPolicy[...]).processItems"))
}

// store is what the engine sees of both kinds.
type store interface {
	Get(key []byte) ([]byte, bool, error)
	Scan(prefix, from []byte, each func(key, value []byte) (bool, error)) error
	Apply(entries []Entry, c Checkpoint) error
	Checkpoint() (Checkpoint, bool, error)
	Pin() (func(), bool)
	Size() int64
	Close() error
}

// reopenable opens a store anew, with what it held.
type reopenable struct {
	open      func() store
	interrupt func(s store, f func(piece int) error)
}

func kinds(t testing.TB) map[string]reopenable {
	dir := filepath.Join(t.TempDir(), "state")
	memory := NewMemory()
	return map[string]reopenable{
		"badger": {
			open:      func() store { return openAt(t, dir) },
			interrupt: func(s store, f func(int) error) { s.(*Store).beforePiece = f },
		},
		"memory": {
			open: func() store {
				memory = memory.Reopen()
				memory.PieceEntries = 700
				return memory
			},
			interrupt: func(s store, f func(int) error) { s.(*Memory).Interrupt = f },
		},
	}
}

func openAt(t testing.TB, dir string) *Store {
	t.Helper()
	s, err := Open(dir, Identity{"handbook", 3}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func contract(t *testing.T, f func(t *testing.T, r reopenable)) {
	t.Helper()
	for name, r := range kinds(t) {
		t.Run(name, func(t *testing.T) { f(t, r) })
	}
}

func apply(t *testing.T, s store, c Checkpoint, entries ...Entry) {
	t.Helper()
	if err := s.Apply(entries, c); err != nil {
		t.Fatal(err)
	}
}

func put(k, v string) Entry { return Entry{Key: []byte(k), Value: []byte(v)} }

func del(k string) Entry { return Entry{Key: []byte(k)} }

func scan(t *testing.T, s store, prefix, from string) string {
	t.Helper()
	var got []string
	err := s.Scan([]byte(prefix), []byte(from), func(k, v []byte) (bool, error) {
		got = append(got, fmt.Sprintf("%s=%s", k, v))
		return true, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(got, " ")
}

func closeStore(t *testing.T, s store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestEntriesOutliveClose(t *testing.T) {
	contract(t, func(t *testing.T, r reopenable) {
		s := r.open()
		if _, ok, err := s.Checkpoint(); ok || err != nil {
			t.Fatalf("new store has a checkpoint (error %v)", err)
		}
		apply(t, s, Checkpoint{Applied: 1}, put("a", "1"), put("b", "2"), put("c", "3"), put("e", ""))
		want := Checkpoint{TopicID: "t", Applied: 7, Format: 1, Input: 9, Generation: 2, Clock: 42, Revision: stream.FingerprintBytes([]byte("r"))}
		apply(t, s, want, del("a"), put("b", "4"), put("b", "5"), del("never"))
		closeStore(t, s)

		s = r.open()
		defer closeStore(t, s)
		if got := scan(t, s, "", ""); got != "b=5 c=3 e=" {
			t.Errorf("state is %q", got)
		}
		if c, ok, err := s.Checkpoint(); c != want || !ok || err != nil {
			t.Errorf("checkpoint %+v, %v, %v; want %+v", c, ok, err, want)
		}
		if v, ok, _ := s.Get([]byte("e")); v == nil || !ok || len(v) > 0 {
			t.Errorf("empty value came back as %v, %v", v, ok)
		}
		if v, ok, _ := s.Get([]byte("a")); v != nil || ok {
			t.Errorf("deleted key came back as %q", v)
		}
		if s.Size() <= 0 {
			t.Error("size is not positive")
		}
	})
}

func TestScanRangesAndEnds(t *testing.T) {
	contract(t, func(t *testing.T, r reopenable) {
		s := r.open()
		defer closeStore(t, s)
		apply(t, s, Checkpoint{}, put("a", "1"), put("aa", "2"), put("ab", "3"), put("b", "4"), put("\xff\xff", "5"))
		for _, c := range []struct{ prefix, from, want string }{
			{"", "", "a=1 aa=2 ab=3 b=4 \xff\xff=5"},
			{"a", "", "a=1 aa=2 ab=3"},
			{"a", "ab", "ab=3"},
			{"a", "aab", "ab=3"},
			{"a", "b", ""},
			{"", "b", "b=4 \xff\xff=5"},
			{"\xff", "", "\xff\xff=5"},
			{"c", "", ""},
		} {
			if got := scan(t, s, c.prefix, c.from); got != c.want {
				t.Errorf("scan(%q from %q) = %q, want %q", c.prefix, c.from, got, c.want)
			}
		}
		stop, seen := errors.New("stop"), 0
		err := s.Scan(nil, nil, func(_, _ []byte) (bool, error) { seen++; return true, stop })
		if err != stop || seen != 1 {
			t.Errorf("error of the callback: %v after %d calls", err, seen)
		}
		err = s.Scan(nil, nil, func(_, _ []byte) (bool, error) { seen++; return false, nil })
		if err != nil || seen != 2 {
			t.Errorf("end of the callback: %v after %d calls", err, seen)
		}
	})
}

func TestApplyRefusesReservedKeys(t *testing.T) {
	contract(t, func(t *testing.T, r reopenable) {
		s := r.open()
		defer closeStore(t, s)
		for _, key := range []string{"", "\x00c", strings.Repeat("k", maxKey+1)} {
			if err := s.Apply([]Entry{put("x", "1"), put(key, "1")}, Checkpoint{}); err == nil {
				t.Errorf("key %.10q was accepted", key)
			}
		}
		if got := scan(t, s, "", ""); got != "" {
			t.Errorf("a refused Apply wrote %q", got)
		}
	})
}

// batch is larger than one Badger transaction.
func batch(version byte) []Entry {
	entries := make([]Entry, 2000)
	for i := range entries {
		entries[i] = Entry{Key: fmt.Appendf(nil, "k%05d", i), Value: bytes.Repeat([]byte{version}, 3<<10)}
	}
	return entries
}

// Invariant 2: a crash between pieces leaves the old checkpoint, and repeating completes the state.
func TestInterruptedPiecesKeepTheOldCheckpoint(t *testing.T) {
	contract(t, func(t *testing.T, r reopenable) {
		s := r.open()
		apply(t, s, Checkpoint{Applied: 1}, batch('1')...)
		crash := errors.New("crash")
		r.interrupt(s, func(piece int) error {
			if piece == 2 {
				return crash
			}
			return nil
		})
		if err := s.Apply(batch('2'), Checkpoint{Applied: 2}); !errors.Is(err, crash) {
			t.Fatalf("Apply ended with %v: are there less than 3 pieces?", err)
		}
		closeStore(t, s)

		s = r.open()
		defer closeStore(t, s)
		if c, _, _ := s.Checkpoint(); c.Applied != 1 {
			t.Errorf("checkpoint is %d after a crash between pieces", c.Applied)
		}
		if v, _, _ := s.Get([]byte("k00000")); v[0] != '2' {
			t.Error("the first piece is not in: nothing was tested")
		}
		apply(t, s, Checkpoint{Applied: 2}, batch('2')...)
		if c, _, _ := s.Checkpoint(); c.Applied != 2 {
			t.Errorf("checkpoint is %d after the repetition", c.Applied)
		}
		if v, _, _ := s.Get([]byte("k01999")); v[0] != '2' {
			t.Error("the last piece is not in")
		}
	})
}

func TestCloseWaitsForPins(t *testing.T) {
	contract(t, func(t *testing.T, r reopenable) {
		s := r.open()
		apply(t, s, Checkpoint{}, put("a", "1"))
		release, ok := s.Pin()
		if !ok {
			t.Fatal("an open store can't be pinned")
		}
		closed := make(chan error)
		go func() { closed <- s.Close() }()
		for {
			again, ok := s.Pin() // until Close has begun
			if !ok {
				break
			}
			again()
		}
		select {
		case <-closed:
			t.Fatal("Close did not wait for the pin")
		default:
		}
		release()
		release()
		if err := <-closed; err != nil {
			t.Fatal(err)
		}
		if _, _, err := s.Get([]byte("a")); !errors.Is(err, ErrClosed) {
			t.Errorf("Get on a closed store: %v", err)
		}
		closeStore(t, s)
	})
}

// Both kinds behave as a sorted map does, over reopening.
func TestStoresAreSortedMaps(t *testing.T) {
	contract(t, func(t *testing.T, r reopenable) {
		s := r.open()
		defer func() { closeStore(t, s) }()
		rapid.Check(t, func(rt *rapid.T) {
			entries := rapid.SliceOfN(rapid.Custom(entry), 0, 40).Draw(rt, "entries")
			model := modelOf(t, s)
			if err := s.Apply(entries, Checkpoint{Applied: int64(len(entries))}); err != nil {
				rt.Fatal(err)
			}
			for _, e := range entries {
				delete(model, string(e.Key))
				if e.Value != nil {
					model[string(e.Key)] = string(e.Value)
				}
			}
			if got := modelOf(t, s); fmt.Sprint(got) != fmt.Sprint(model) {
				rt.Fatalf("got %v, want %v", got, model)
			}
		})
	})
}

func entry(t *rapid.T) Entry {
	key := rapid.SliceOfN(rapid.ByteRange(1, 4), 1, 3).Draw(t, "key")
	return Entry{Key: key, Value: rapid.SampledFrom([][]byte{nil, {}, []byte("x"), []byte("yy")}).Draw(t, "value")}
}

func modelOf(t *testing.T, s store) map[string]string {
	t.Helper()
	model, keys := map[string]string{}, []string{}
	err := s.Scan(nil, nil, func(k, v []byte) (bool, error) {
		keys, model[string(k)] = append(keys, string(k)), string(v)
		return true, nil
	})
	if err != nil || !slices.IsSorted(keys) {
		t.Fatalf("scan: error %v, keys %q", err, keys)
	}
	return model
}
