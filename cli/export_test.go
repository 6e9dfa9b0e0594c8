package cli

import (
	"bytes"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/freshet-dev/freshet/flow"
)

// TestExport: every flow file of the repository is the same flow once it was exported.
func TestExport(t *testing.T) {
	paths, err := filepath.Glob("../examples/flows/*.yaml")
	if err != nil || len(paths) == 0 {
		t.Fatal("no flow files")
	}
	for _, path := range append(paths, "../examples/handbook.yaml", "../deploy/compose/flow.yaml") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			f, err := flow.Load(path, "", registry())
			if err != nil {
				t.Fatal(err)
			}
			root := newRoot(program{registry: registry()})
			root.SetArgs([]string{"export", "-f", path})
			var out bytes.Buffer
			root.SetOut(&out)
			if err := root.ExecuteContext(t.Context()); err != nil {
				t.Fatal(err)
			}
			again, err := flow.Parse(path, out.Bytes(), registry())
			if err != nil {
				t.Fatalf("%v\n%s", err, out.Bytes())
			}
			if !reflect.DeepEqual(again.Declaration(), f.Declaration()) || !reflect.DeepEqual(again.Kafka, f.Kafka) {
				t.Errorf("another flow:\n%s", out.Bytes())
			}
			for i, target := range f.Targets {
				if got := again.Targets[i]; got.Name != target.Name || got.Config.Settings.Values.String() != target.Config.Settings.Values.String() {
					t.Errorf("target %s: got %v, want %v", target.Name, got.Config.Settings.Values, target.Config.Settings.Values)
				}
			}
		})
	}
}
