package statestore

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// TestReclaimLeavesDeleted: a key whose value lies in a value log, and whose deletion was not merged with it yet, stays
// deleted when the log's space is reclaimed and the deletion is merged after that.
func TestReclaimLeavesDeleted(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "p3")
	large := bytes.Repeat([]byte("x"), largeValue+1)
	const keys = 8
	key := func(n int) string { return fmt.Sprint("k", n) }
	s := openAt(t, dir)
	for n := range keys {
		apply(t, s, Checkpoint{Applied: 1}, put(key(n), string(large)))
	}
	closeStore(t, s)

	s = openAt(t, dir)
	for n := range keys - 2 {
		apply(t, s, Checkpoint{Applied: 2}, del(key(n)))
	}
	merging := s.options
	merging.CompactL0OnClose = true
	if err := errors.Join(s.reopen(merging), s.reopen(s.options)); err != nil { // most of the log is known to be dead now
		t.Fatal(err)
	}
	apply(t, s, Checkpoint{Applied: 3}, del(key(keys-2)))
	closeStore(t, s)

	s = openAt(t, dir)
	if err := s.db.Flatten(1); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := s.Get([]byte(key(keys - 2))); ok || err != nil {
		t.Errorf("the deleted key is there: %t (%v)", ok, err)
	}
	if v, ok, err := s.Get([]byte(key(keys - 1))); !ok || !bytes.Equal(v, large) {
		t.Errorf("the other key is there: %t, with %d bytes (%v)", ok, len(v), err)
	}
	closeStore(t, s)
	log := filepath.Join(dir, dataDir, "000001.vlog")
	// A merge keeps the older version of a deleted key when somebody reads meanwhile: the log goes at a later one then, which takes
	// something new to merge.
	for n := range 10 {
		if _, err := os.Stat(log); errors.Is(err, fs.ErrNotExist) {
			return
		}
		s = openAt(t, dir)
		apply(t, s, Checkpoint{Applied: int64(4 + n)}, put("another", "small"))
		closeStore(t, s)
	}
	t.Error("the log's space was not reclaimed")
}
