package cli

import (
	"bytes"
	"flag"
	"os"
	"testing"

	"github.com/freshet-dev/freshet/flow"
)

var update = flag.Bool("update", false, "write generated files anew")

// TestFlowSchema: the published schema is the one that the registries give.
func TestFlowSchema(t *testing.T) {
	const path = "../schemas/flow.schema.json"
	want := flow.Schema(registry())
	if *update {
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not what the registries give; run: go test ./cli -run TestFlowSchema -update", path)
	}
}
