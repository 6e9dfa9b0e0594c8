package statestore

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/freshet-dev/freshet/stream"
)

// TestFullDisk: a disk that is nearly full is an error before anything is written; once there is room, the same works.
func TestFullDisk(t *testing.T) {
	s := openAt(t, filepath.Join(t.TempDir(), "p3"))
	defer closeStore(t, s)
	left := int64(spare - 1)
	s.free = func(string) (int64, error) { return left, nil }
	entries, mark := []Entry{{Key: []byte("k"), Value: []byte("v")}}, Checkpoint{Applied: 7}
	err := s.Apply(entries, mark)
	if !errors.Is(err, ErrFull) || stream.KindOf(err) != stream.Transient {
		t.Errorf("got %v", err)
	}
	if _, ok, err := s.Checkpoint(); ok || err != nil {
		t.Errorf("a checkpoint was written: %v, %v", ok, err)
	}
	left = spare
	if err := s.Apply(entries, mark); err != nil {
		t.Fatal(err)
	}
	if c, _, err := s.Checkpoint(); err != nil || c.Applied != 7 {
		t.Errorf("the checkpoint is %+v, %v", c, err)
	}
}

// TestFreeSpace asks the real disk.
func TestFreeSpace(t *testing.T) {
	if left, err := freeSpace(t.TempDir()); err != nil || left <= 0 {
		t.Errorf("%d bytes free, %v", left, err)
	}
}

// TestCloseOnADiskThatFails: Badger tries to write its last table without end; Close gives up and says why.
func TestCloseOnADiskThatFails(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "p3")
	s := openAt(t, dir)
	if err := s.Apply([]Entry{{Key: []byte("k"), Value: []byte("v")}}, Checkpoint{Applied: 7}); err != nil {
		t.Fatal(err)
	}
	data, away := filepath.Join(dir, dataDir), filepath.Join(dir, "away")
	if err := os.Rename(data, away); err != nil { // no file can be made in it
		t.Fatal(err)
	}
	s.closeWithin = 100 * time.Millisecond
	err := s.Close()
	if err == nil || !strings.Contains(err.Error(), "look at the disk") {
		t.Errorf("got %v", err)
	}
	if err := tryOpen(dir, Identity{"handbook", 3}); !errors.Is(err, ErrLocked) {
		t.Errorf("while it is not closed: %v", err)
	}
	if err := os.Rename(away, data); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for { // what is under way ends, and the directory is free
		err := tryOpen(dir, Identity{"handbook", 3})
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal(err)
		}
	}
}
