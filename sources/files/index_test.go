package files

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

func reopened(t *testing.T, path string) map[string]entry {
	t.Helper()
	x, err := openIndex(path, "topic")
	if err != nil {
		t.Fatal(err)
	}
	if err := x.close(); err != nil {
		t.Fatal(err)
	}
	return x.known
}

// Whatever a crash leaves of the last entries, the ones before it are read, and what follows is written after them.
func TestIndexOutlivesATornEnd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "index")
	x, err := openIndex(path, "topic")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if err := x.record(entry{Path: fmt.Sprint(i), Know: put, Stamp: stamp{Size: int64(i)}, Settled: true}); err != nil {
			t.Fatal(err)
		}
	}
	_ = x.close()
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	last := 0
	for cut := range len(whole) {
		for _, tail := range []string{"", "\x00\x00\x00\x00"} {
			if err := os.WriteFile(path, append(whole[:cut:cut], tail...), 0o600); err != nil {
				t.Fatal(err)
			}
			known := reopened(t, path)
			if len(known) < last || len(known) > 2 {
				t.Fatalf("cut at %d of %d: %d entries", cut, len(whole), len(known))
			}
			last = len(known)
			for p, e := range known {
				if fmt.Sprint(e.Stamp.Size) != p || e.Know != put {
					t.Fatalf("cut at %d: entry %+v", cut, e)
				}
			}
		}
	}
	if last != 2 {
		t.Errorf("the last cut left %d entries, want 2", last)
	}
}

func TestIndexDropsWhatIsOutdated(t *testing.T) {
	path := filepath.Join(t.TempDir(), "index")
	x, err := openIndex(path, "topic")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3000 {
		if err := x.record(entry{Path: "a", Know: put, Stamp: stamp{Size: int64(i)}}, entry{Path: "b", Know: gone}); err != nil {
			t.Fatal(err)
		}
	}
	if x.written > 1010 {
		t.Errorf("%d entries of one file", x.written)
	}
	_ = x.close()
	if known := reopened(t, path); len(known) != 1 || known["a"].Stamp.Size != 2999 {
		t.Errorf("index is %v", known)
	}
}
