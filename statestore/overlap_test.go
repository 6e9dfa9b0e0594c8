package statestore

import (
	"bytes"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/dgraph-io/badger/v4/y"
)

// TestTablesOverlap: every table of the first level begins with lowKey, whether it came of one transaction or of several
// pieces, none comes of a load in bulk, and fewer than the four tables that Badger merges by themselves are beside a merge.
func TestTablesOverlap(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "p3")
	s := openAt(t, dir)
	s.options.NumCompactors = 0 // the tables stay where they are
	if err := s.Load(); err != nil {
		t.Fatal(err)
	}
	var entries []Entry
	for n := range 40_000 {
		entries = append(entries, put(fmt.Sprintf("k%06d", n), string(bytes.Repeat([]byte("x"), 900))))
	}
	for from := 0; from < len(entries); from += 20_000 {
		apply(t, s, Checkpoint{}, entries[from:from+20_000]...)
	}
	if err := s.Loaded(Checkpoint{Applied: 1}); err != nil {
		t.Fatal(err)
	}
	if n := s.db.Levels()[0].NumTables; n > 0 {
		t.Errorf("a load left %d tables in the first level", n)
	}
	apply(t, s, Checkpoint{Applied: 2}, entries[:4000]...) // of several pieces
	if err := s.reopen(s.options); err != nil {
		t.Fatal(err)
	}
	overlap(t, s, 2)
	closeStore(t, s)
	if n := s.options.NumLevelZeroTablesStall - s.options.NumLevelZeroTables; n >= 4 {
		t.Errorf("%d tables may come to the first level beside a merge", n)
	}
}

// overlap looks at the tables of the first level, of which there are so many at the least.
func overlap(t *testing.T, s *Store, least int) {
	t.Helper()
	found := 0
	for _, table := range s.db.Tables() {
		if table.Level != 0 {
			continue
		}
		found++
		if first := y.ParseKey(table.Left); !bytes.Equal(first, lowKey) {
			t.Errorf("table %d begins with %q", table.ID, first)
		}
	}
	if found < least {
		t.Errorf("%d tables, want %d", found, least)
	}
}
