package examples_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// spoken are the lines of the demo that no content changes.
var spoken = regexp.MustCompile(`^( {3}[-+$] |[23]\. |The index)`)

// `make demo` is the first thing that anyone runs.
func TestDemo(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	dir := filepath.Join(t.TempDir(), "demo")
	cmd := exec.CommandContext(ctx, "bash", "demo.sh")
	cmd.Env = append(os.Environ(), "FRESHET="+binary, "DEMO_DIR="+dir)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // it stops what it started
	cmd.WaitDelay = 10 * time.Second
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`[1-9]\d* documents, [1-9]\d* chunks embedded, [1-9]\d* rows in SQLite`,
		`chunks embedded: 1, reused: [1-9]\d*; rows written: 1, deleted: 1`,
		`(?s)3\. Search it.*one-edit\.md`,
		`The index is .*handbook\.db`,
	} {
		if !regexp.MustCompile(want).Match(out) {
			t.Errorf("the demo did not print %s", want)
		}
	}
	// What README.md shows of it is what it prints, but for numbers and what was found.
	readme := read(t, "../README.md")
	for _, line := range strings.Split(strings.ReplaceAll(string(out), dir, "bin/demo"), "\n") {
		if spoken.MatchString(line) && !strings.Contains(readme, line) {
			t.Errorf("README.md does not show the demo's line %q", line)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "examples", "handbook.db")); err != nil {
		t.Error(err)
	}
}
