package flow

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write golden files")

func checkGolden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; got:\n%s\nwant:\n%s", path, got, want)
	}
}

func golden(path string) string { return strings.TrimSuffix(path, ".yaml") + ".golden" }

func parseFile(t *testing.T, path string) (*Flow, error) {
	t.Helper()
	src, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return Parse(filepath.Base(path), src, testRegistry())
}

func TestBadFlowsListTheirFaults(t *testing.T) {
	paths, _ := filepath.Glob("testdata/*.bad.yaml")
	if len(paths) == 0 {
		t.Fatal("no bad flows")
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			_, err := parseFile(t, path)
			faults := AsFaults(err)
			if len(faults) == 0 {
				t.Fatalf("accepted, or another error: %v", err)
			}
			if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "sk-123456") {
				t.Error("a secret is printed")
			}
			checkGolden(t, golden(path), err.Error()+"\n")
		})
	}
}

func TestGoodFlows(t *testing.T) {
	paths, _ := filepath.Glob("testdata/*.good.yaml")
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			f, err := parseFile(t, path)
			if err != nil {
				t.Fatal(err)
			}
			checkGolden(t, golden(path), describe(f))
		})
	}
}

// describe writes a checked flow as golden files have it: nodes in order, typed tables, warnings.
func describe(f *Flow) string {
	var b strings.Builder
	b.WriteString("flow " + f.Name + "\n")
	for _, s := range f.Sources {
		b.WriteString("source " + s.Name + ": " + s.Kind + ", topic " + s.Topic + "\n")
	}
	for _, s := range f.Program.steps {
		b.WriteString("node " + s.name.ident + " per " + s.scope.String() + ": " + s.name.typ.String() + "\n")
	}
	for _, t := range f.Program.Tables() {
		b.WriteString("table " + t.Name)
		for _, rule := range t.Shared {
			b.WriteString(" " + rule.String())
		}
		b.WriteString("\n")
		for _, c := range t.Columns {
			b.WriteString("  " + c.Name + ": " + c.Type.String() + "\n")
		}
	}
	for _, s := range f.Program.sources {
		for _, p := range s.paths {
			b.WriteString("reads " + strings.Join(p, ".") + "\n")
		}
	}
	for _, w := range f.Warnings {
		b.WriteString("warning " + w.String() + "\n")
	}
	return b.String()
}
