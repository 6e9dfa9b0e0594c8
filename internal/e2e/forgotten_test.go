package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestForgottenProject: .freshet/ is deleted, the target is kept. The next start knows another rows topic than the target
// follows: it halts and leaves the target as it is; the command that it names helps, and what went meanwhile is swept.
func TestForgottenProject(t *testing.T) {
	p := newProject(t, pageFlow).pages()
	p.devOnce()
	before := p.rows("pages")
	if err := os.RemoveAll(filepath.Join(p.dir, ".freshet")); err != nil {
		t.Fatal(err)
	}
	p.remove("docs/lakes.md")
	p.dev("--once").complains(1, "the target follows rows topic", "freshet reset -f")
	if after := p.rows("pages"); !slices.Equal(after, before) {
		t.Errorf("the target was changed: %v", after)
	}
	p.command("reset", "--yes").exits(0)
	p.devOnce()
	p.sameAsFresh(tables...)
}
