package mutants

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// mutant is one change and the test that must fail with it.
type mutant struct {
	name      string
	file      string // of the tree
	text, now string // text occurs once in the file; now replaces it
	pkg, test string // the killer: package directory, and the test with its subtests, as -run takes them
	flag      string // one more flag of its binary
}

// passed spares the killers' runs on the code as it is, which are half of the time.
var passed = flag.Bool("passed", false, "all tests of the module ran on the code as it is: whether they pass is known")

// TestMutants is the gate: every mutant compiles, and its test, which passes without it, fails with it.
func TestMutants(t *testing.T) {
	root := moduleRoot(t)
	whole := &builds{root: root, dir: t.TempDir()}
	for _, m := range all {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			overlay, err := m.overlay(root, t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			if !*passed {
				m.passes(t, whole)
			}
			m.dies(t, root, overlay)
		})
	}
}

// builds are the test binaries of the code as it is, one for each package.
type builds struct {
	root, dir string
	mu        sync.Mutex
	made      map[string]func() (string, error)
	told      sync.Map // killer → what it said, once
}

func (b *builds) of(pkg string) (string, error) {
	b.mu.Lock()
	if b.made == nil {
		b.made = map[string]func() (string, error){}
	}
	if b.made[pkg] == nil {
		b.made[pkg] = sync.OnceValues(func() (string, error) {
			return compile(b.root, pkg, filepath.Join(b.dir, strings.ReplaceAll(pkg, "/", "-")))
		})
	}
	made := b.made[pkg]
	b.mu.Unlock()
	return made()
}

// passes requires that the killer passes on the code as it is.
func (m *mutant) passes(t *testing.T, whole *builds) {
	t.Helper()
	bin, err := whole.of(m.pkg)
	if err != nil {
		t.Fatal(err)
	}
	said, _ := whole.told.LoadOrStore(m.pkg+" "+m.test, sync.OnceValue(func() string { return m.run(whole.root, bin) }))
	out := said.(func() string)()
	needs(t, out)
	if strings.Contains(out, "--- FAIL") || !strings.Contains(out, "--- PASS: "+m.top()) || strings.Contains(out, "--- SKIP") {
		t.Fatalf("%s of %s does not pass without the mutant:\n%s", m.test, m.pkg, out)
	}
}

// needs skips a mutant whose killer is skipped, since a real component is missing.
func needs(t *testing.T, out string) {
	t.Helper()
	if strings.Contains(out, "SKIP-COMPONENT") && os.Getenv("CI") != "true" {
		t.Skip(out)
	}
}

// dies requires that the killer fails on the mutated code.
func (m *mutant) dies(t *testing.T, root, overlay string) {
	t.Helper()
	bin, err := compile(root, m.pkg, filepath.Join(t.TempDir(), "mutated"), "-overlay="+overlay)
	if err != nil {
		t.Fatalf("the mutant does not compile: %v", err)
	}
	out := m.run(root, bin)
	needs(t, out)
	if !strings.Contains(out, "--- FAIL: "+m.top()) && !strings.Contains(out, "\npanic: ") {
		t.Fatalf("SURVIVED: in %s, %q became %q, and %s of %s says\n%s", m.file, m.text, m.now, m.test, m.pkg, out)
	}
}

func (m *mutant) top() string {
	name, _, _ := strings.Cut(m.test, "/")
	return name
}

// overlay writes the mutated file, and the file that lays it over the original.
func (m *mutant) overlay(root, dir string) (string, error) {
	original := filepath.Join(root, filepath.FromSlash(m.file))
	b, err := os.ReadFile(original)
	if err != nil {
		return "", fmt.Errorf("stale mutant: %w", err)
	}
	if n := strings.Count(string(b), m.text); n != 1 {
		return "", fmt.Errorf("stale mutant: %s has %d times %q, want once; say what breaks the promise now", m.file, n, m.text)
	}
	mutated, overlay := filepath.Join(dir, filepath.Base(m.file)), filepath.Join(dir, "overlay.json")
	named, err := json.Marshal(map[string]map[string]string{"Replace": {original: mutated}})
	return overlay, errors.Join(err, os.WriteFile(mutated, []byte(strings.Replace(string(b), m.text, m.now, 1)), 0o644),
		os.WriteFile(overlay, named, 0o644))
}

// compile builds a package's test binary, without what debuggers read, which is half of the time.
func compile(root, pkg, bin string, flags ...string) (string, error) {
	cmd := exec.Command("go", append(append([]string{"test", "-c", "-ldflags=-w", "-o", bin}, flags...), "./"+pkg)...)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("compile the tests of %s: %w\n%s", pkg, err, out)
	}
	return bin, nil
}

// run runs the killer and returns all that it says.
func (m *mutant) run(root, bin string) string {
	parts := strings.Split(m.test, "/")
	for i, p := range parts {
		parts[i] = "^" + p + "$"
	}
	cmd := exec.Command(bin, "-test.run="+strings.Join(parts, "/"), "-test.v", "-test.timeout=3m")
	if m.flag != "" {
		cmd.Args = append(cmd.Args, m.flag)
	}
	cmd.Dir = filepath.Join(root, filepath.FromSlash(m.pkg))
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Sprintf("%s\n%v", out, err)
	}
	return string(out)
}

func moduleRoot(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}
