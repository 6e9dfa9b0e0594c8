// Package pythonoperator_test runs the example, so that nobody copies one that does not work.
package pythonoperator_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/freshet-dev/freshet/internal/testenv"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// run runs a program in a directory.
func run(t *testing.T, dir, name string, args ...string) (output string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
	return string(out)
}

// TestFlow does what the README says, with the package beside the operator.
func TestFlow(t *testing.T) {
	python, dir, bin := testenv.Python(t), t.TempDir(), filepath.Join(t.TempDir(), "freshet")
	must(t, os.CopyFS(dir, os.DirFS(".")))
	must(t, os.CopyFS(filepath.Join(dir, "freshet"), os.DirFS("../../python/freshet")))
	run(t, dir, python, "-B", "-m", "unittest")
	run(t, ".", "go", "build", "-ldflags=-w", "-o", bin, "../../cmd/freshet")

	run(t, dir, bin, "dev", "-f", "flow.yaml", "--once")
	kept(t, dir, "herons.md|herons|3\nherons.md|kingfisher|1\nherons.md|river|1\n")

	must(t, os.WriteFile(filepath.Join(dir, "docs", "herons.md"), []byte("Egrets, egrets.\n"), 0o644))
	run(t, dir, bin, "dev", "-f", "flow.yaml", "--once")
	kept(t, dir, "herons.md|egrets|2\n")
}

// selected prints the rows of the target.
const selected = `import sqlite3
for row in sqlite3.connect("keywords.db").execute("select page, word, times from keywords order by times desc, word"):
    print(*row, sep="|")`

// kept demands which rows the target has.
func kept(t *testing.T, dir string, want string) {
	t.Helper()
	if got := run(t, dir, testenv.Python(t), "-c", selected); got != want {
		t.Errorf("the target has\n%s\nwant\n%s", got, want)
	}
}
