// Package pythonoperator_test runs the example, so that nobody copies one that does not work.
package pythonoperator_test

import (
	"database/sql"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	_ "modernc.org/sqlite"

	"github.com/freshet-dev/freshet/internal/testenv"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// run runs a program in a directory.
func run(t *testing.T, dir, name string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
}

// TestFlow does what the README says, with the package beside the operator.
func TestFlow(t *testing.T) {
	python, dir, bin := testenv.Python(t), t.TempDir(), filepath.Join(t.TempDir(), "freshet")
	must(t, os.CopyFS(dir, os.DirFS(".")))
	must(t, os.CopyFS(filepath.Join(dir, "freshet"), os.DirFS("../../python/freshet")))
	run(t, dir, python, "-B", "-m", "unittest")
	run(t, ".", "go", "build", "-o", bin, "../../cmd/freshet")

	run(t, dir, bin, "dev", "-f", "flow.yaml", "--once")
	kept(t, dir, "herons.md herons 3", "herons.md kingfisher 1", "herons.md river 1")

	must(t, os.WriteFile(filepath.Join(dir, "docs", "herons.md"), []byte("Egrets, egrets.\n"), 0o644))
	run(t, dir, bin, "dev", "-f", "flow.yaml", "--once")
	kept(t, dir, "herons.md egrets 2")
}

// kept demands which rows the target has.
func kept(t *testing.T, dir string, want ...string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "keywords.db")+"?mode=ro")
	must(t, err)
	defer db.Close()
	rows, err := db.QueryContext(t.Context(), "select page || ' ' || word || ' ' || times from keywords order by times desc, word")
	must(t, err)
	defer rows.Close()
	var got []string
	for rows.Next() {
		var line string
		must(t, rows.Scan(&line))
		got = append(got, line)
	}
	must(t, rows.Err())
	if !slices.Equal(got, want) {
		t.Errorf("the target has %q, want %q", got, want)
	}
}
