package testenv

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// TestPinnedWithoutHistory: a tree that git does not know is a missing component, which must then tells or fails.
func TestPinnedWithoutHistory(t *testing.T) {
	t.Setenv("FRESHET_CACHE", t.TempDir())
	_, err := checkOut(t.Context(), "00000000000000000000000000000000000000ff")
	if gone := (*missing)(nil); !errors.As(err, &gone) || gone.component != "history" {
		t.Errorf("an unknown tree gives %v, want a missing component", err)
	}
}

// TestCheckOut puts the very files of a tree in place, once.
func TestCheckOut(t *testing.T) {
	t.Setenv("FRESHET_CACHE", t.TempDir())
	first, err := checkOut(t.Context(), "HEAD^{tree}")
	must(t, err)
	for _, path := range []string{"go.mod", "cmd/freshet/main.go"} {
		if _, err := os.Stat(filepath.Join(first, filepath.FromSlash(path))); err != nil {
			t.Error(err)
		}
	}
	again, err := checkOut(t.Context(), "HEAD^{tree}")
	if err != nil || again != first {
		t.Errorf("the second time it is at %s (%v), not at %s", again, err, first)
	}
}
