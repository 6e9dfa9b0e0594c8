package jsonfiles

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/freshet-dev/freshet/sinks/guard"
)

// TestFlow: the program in freshet/ keeps the flow of flow.yaml in its files; freshet itself does not know the target.
func TestFlow(t *testing.T) {
	dir, bin := t.TempDir(), t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-ldflags=-w", "-o", bin+"/", "./freshet")
	out, err := build.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	flow, err := os.ReadFile("flow.yaml")
	byHand(t, err)
	byHand(t, os.WriteFile(filepath.Join(dir, "flow.yaml"), flow, 0o644))
	byHand(t, os.Mkdir(filepath.Join(dir, "docs"), 0o755))
	byHand(t, os.WriteFile(filepath.Join(dir, "docs", "a.md"), []byte("# Herons\n\nThey fish at dawn.\n"), 0o644))
	byHand(t, os.WriteFile(filepath.Join(dir, "docs", "b.md"), []byte("# Pumps\n"), 0o644))
	once := func() {
		t.Helper()
		dev := exec.CommandContext(t.Context(), filepath.Join(bin, "freshet"), "dev", "-f", "flow.yaml", "--once")
		dev.Dir = dir
		if out, err := dev.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	once()
	kept(t, dir, `page/a.md {"":{"path":"a.md","title":"Herons"}}`, `page/b.md {"":{"path":"b.md","title":"Pumps"}}`)

	byHand(t, os.WriteFile(filepath.Join(dir, "docs", "a.md"), []byte("# Egrets\n"), 0o644))
	byHand(t, os.Remove(filepath.Join(dir, "docs", "b.md")))
	once()
	kept(t, dir, `page/a.md {"":{"path":"a.md","title":"Egrets"}}`)
}

// kept demands which documents have rows in the files, and which.
func kept(t *testing.T, dir string, want ...string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(directory(filepath.Join(dir, "out")).bucket("pages"), "*.json"))
	byHand(t, err)
	var got []string
	for _, name := range files {
		content, err := os.ReadFile(name)
		byHand(t, err)
		var page guard.Page
		byHand(t, json.Unmarshal(content, &page))
		rows, err := json.Marshal(page.Rows)
		byHand(t, err)
		if len(page.Rows) > 0 { // else tombstones
			got = append(got, page.Document+" "+string(rows))
		}
	}
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("the files hold\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
