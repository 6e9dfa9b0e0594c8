package statestore

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
)

// loaded is what Store and Memory have in common.
type loaded interface {
	Load() error
	Loaded(c Checkpoint) error
	Apply(entries []Entry, c Checkpoint) error
	Get(key []byte) ([]byte, bool, error)
	Checkpoint() (Checkpoint, bool, error)
	Close() error
}

// TestLoad: a state that is written in bulk is there, whole and with its checkpoint, once it is complete; one that was cut
// short is not there at all.
func TestLoad(t *testing.T) {
	id := Identity{Flow: "f", Partition: 1}
	dir := filepath.Join(t.TempDir(), "1")
	onDisk := func() loaded {
		s, err := Open(dir, id, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	memory := NewMemory()
	for name, open := range map[string]func() loaded{"disk": onDisk, "memory": func() loaded { memory = memory.Reopen(); return memory }} {
		t.Run(name, func(t *testing.T) {
			s := open()
			load(t, s)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = open()
			if _, ok, err := s.Checkpoint(); ok || err != nil {
				t.Errorf("a load that was cut short left a checkpoint (%v)", err)
			}
			if _, ok, err := s.Get([]byte("k0001")); ok || err != nil {
				t.Errorf("a load that was cut short left entries (%v)", err)
			}
			load(t, s)
			if err := s.Loaded(Checkpoint{TopicID: "t", Applied: 9}); err != nil {
				t.Fatal(err)
			}
			complete(t, s)
			if err := s.Load(); err == nil {
				t.Error("a state that is there can be loaded over")
			}
			if err := s.Apply([]Entry{{Key: []byte("k0003"), Value: []byte("later")}}, Checkpoint{TopicID: "t", Applied: 11}); err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = open()
			complete(t, s)
			if c, _, err := s.Checkpoint(); err != nil || c.Applied != 11 {
				t.Errorf("the checkpoint is %+v (%v)", c, err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// load writes entries over and over, deletes some, and gives checkpoints that must not count.
func load(t *testing.T, s loaded) {
	t.Helper()
	if err := s.Load(); err != nil {
		t.Fatal(err)
	}
	for pass := range 3 {
		var entries []Entry
		for i := range 3000 {
			entries = append(entries, Entry{Key: fmt.Appendf(nil, "k%04d", i), Value: fmt.Appendf(nil, "%0*d", 100+i%1000, pass)})
			if i%7 == 0 {
				entries = append(entries, Entry{Key: fmt.Appendf(nil, "k%04d", i)})
			}
		}
		if err := s.Apply(entries, Checkpoint{TopicID: "t", Applied: int64(pass)}); err != nil {
			t.Fatal(err)
		}
	}
}

func complete(t *testing.T, s loaded) {
	t.Helper()
	if _, ok, err := s.Checkpoint(); !ok || err != nil {
		t.Errorf("there is no checkpoint (%v)", err)
	}
	for i := range 3000 {
		v, ok, err := s.Get(fmt.Appendf(nil, "k%04d", i))
		switch {
		case err != nil:
			t.Fatal(err)
		case ok == (i%7 == 0):
			t.Errorf("k%04d: there: %t", i, ok)
		case ok && i != 3 && string(v) != fmt.Sprintf("%0*d", 100+i%1000, 2):
			t.Errorf("k%04d is %q", i, v)
		}
	}
}

// TestLoadInRuns: a state that is written in one run or in many, in the tree and in value logs, over and over and with deletions, is
// what was written last, when the space of what was overwritten is reclaimed too.
func TestLoadInRuns(t *testing.T) {
	for name, most := range map[string]int{"one": loadRun, "many": 64 << 10} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "p3")
			s := openAt(t, dir)
			if err := s.Load(); err != nil {
				t.Fatal(err)
			}
			s.load.most = most
			want := map[string]string{}
			for pass := range 9 {
				var entries []Entry
				for i := range 800 {
					k, v := fmt.Sprintf("k%04d", i*7919%800), fmt.Sprintf("%0*d", 1+(i*31+pass)%3000, pass)
					if (i+pass)%5 == 0 {
						entries = append(entries, del(k))
						delete(want, k)
						continue
					}
					entries = append(entries, put(k, v))
					want[k] = v
				}
				apply(t, s, Checkpoint{}, entries...)
			}
			if err := s.Loaded(Checkpoint{Applied: 7}); err != nil {
				t.Fatal(err)
			}
			holds(t, s, want)
			before := s.Size()
			for range 2 {
				closeStore(t, s)
				s = openAt(t, dir) // reclaims
				holds(t, s, want)
			}
			if after := s.Size(); most == loadRun && after > before/2 {
				t.Errorf("%d bytes of %d are left, though most are dead", after, before)
			}
			apply(t, s, Checkpoint{Applied: 8}, del("k0001"), put("k0002", "new"))
			delete(want, "k0001")
			want["k0002"] = "new"
			if err := s.db.Flatten(1); err != nil {
				t.Fatal(err)
			}
			holds(t, s, want)
			closeStore(t, s)
		})
	}
}

// holds compares all entries.
func holds(t *testing.T, s *Store, want map[string]string) {
	t.Helper()
	found := 0
	if err := s.Scan(nil, nil, func(k, v []byte) (bool, error) {
		if found++; want[string(k)] != string(v) {
			t.Errorf("%s has %d bytes, want %d", k, len(v), len(want[string(k)]))
		}
		return true, nil
	}); err != nil {
		t.Fatal(err)
	}
	if found != len(want) {
		t.Errorf("%d entries, want %d", found, len(want))
	}
}

// TestLoadFails: a load that can't be completed says so, can be closed, and left nothing.
func TestLoadFails(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "p3")
	s := openAt(t, dir)
	load(t, s)
	if err := s.load.log.file.Close(); err != nil { // as a disk that fails
		t.Fatal(err)
	}
	apply := s.Apply([]Entry{put("k", fmt.Sprintf("%02000d", 0))}, Checkpoint{})
	if err := s.Loaded(Checkpoint{Applied: 1}); err == nil || apply == nil {
		t.Errorf("a load on a disk that fails: %v, %v", apply, err)
	}
	_ = s.Close() // the error again
	s = openAt(t, dir)
	holds(t, s, nil)
	closeStore(t, s)
}
