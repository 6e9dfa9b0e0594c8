package testenv

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestLay: an edit that has nothing to replace, or more than one place, is an error; else all are made.
func TestLay(t *testing.T) {
	dir := t.TempDir()
	original := filepath.Join(dir, "a.go")
	must(t, os.WriteFile(original, []byte("one two two"), 0o644))
	for _, old := range []string{"three", "two"} {
		if _, err := lay(t.TempDir(), original, [][2]string{{old, "x"}}); err == nil || !strings.Contains(err.Error(), old) {
			t.Errorf("an edit of %q: %v", old, err)
		}
	}
	laid := t.TempDir()
	overlay, err := lay(laid, original, [][2]string{{"one", "1"}, {"two two", "2"}})
	must(t, err)
	named, _ := os.ReadFile(overlay)
	if edited, _ := os.ReadFile(filepath.Join(laid, "a.go")); string(edited) != "1 2" || !strings.Contains(string(named), original) {
		t.Errorf("%q is laid over the original by %s", edited, named)
	}
}
