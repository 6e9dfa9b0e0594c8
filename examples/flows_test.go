package examples_test

import (
	"os/exec"
	"path/filepath"
	"testing"
)

// Every flow file is valid, and none of them earns a warning.
func TestFlowsAreValid(t *testing.T) {
	files, err := filepath.Glob("flows/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no flow files found: %v", err)
	}
	for _, file := range append(files, "handbook.yaml", "python-operator/flow.yaml", "../deploy/compose/flow.yaml") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			out, err := exec.CommandContext(t.Context(), binary, "validate", "-f", file).CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if want := file + ": flow "; len(out) < len(want) || string(out[:len(want)]) != want {
				t.Errorf("more than the one line that says it is valid:\n%s", out)
			}
		})
	}
}
