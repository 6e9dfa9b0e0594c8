package testenv

import (
	"os/exec"
	"strings"
	"testing"
)

// Python returns an interpreter of Python 3; a test that needs one is skipped where there is none.
func Python(t testing.TB) string {
	t.Helper()
	path, err := component{name: "python"}.python()
	must(t, err)
	real, err := exec.CommandContext(t.Context(), path, "-c", "import sys; print(sys.executable)").Output() // path may be a slow script
	must(t, err)
	return strings.TrimSpace(string(real))
}

// PythonTests runs the unit tests of a folder, with the interpreter's own unittest.
func PythonTests(t testing.TB, dir string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), Python(t), "-B", "-m", "unittest", "discover", "-s", "tests", "-t", ".")
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}
