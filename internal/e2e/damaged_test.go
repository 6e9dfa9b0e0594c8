package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDamagedState: local state that a disk damaged (F23) is recognised, wiped and restored from the changelog, which one
// line says; nothing is computed again, and what changed meanwhile is not missed.
func TestDamagedState(t *testing.T) {
	for name, damage := range map[string]func(data, table string) error{
		"a table with a changed byte": func(data, table string) error {
			return change(table, func(b []byte) []byte { b[len(b)/3] ^= 1; return b })
		},
		"a table cut short": func(data, table string) error { return change(table, func(b []byte) []byte { return b[:len(b)/2] }) },
		"a manifest cut short": func(data, table string) error {
			return change(data+"/MANIFEST", func(b []byte) []byte { return b[:len(b)-5] })
		},
		"a log of garbage": func(data, table string) error {
			return os.WriteFile(data+"/00007.mem", []byte(strings.Repeat("garbage ", 1000)), 0o644)
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProject(t, pageFlow).pages()
			p.devOnce()
			found, err := filepath.Glob(filepath.Join(p.dir, ".freshet", "pages", "state", "*", "data", "*.sst"))
			if err != nil {
				t.Fatal(err)
			}
			stores := map[string]string{} // with one of its tables; partitions without a page have none
			for _, table := range found {
				stores[filepath.Dir(table)] = table
			}
			if len(stores) == 0 {
				t.Fatal("no partition has any state")
			}
			for data, table := range stores {
				if err := damage(data, table); err != nil {
					t.Fatal(err)
				}
			}
			p.write("docs/lakes.md", "# Lakes\n\nLakes keep what they are given.\n\n## Depth\n\nSomebody measured it.\n")
			d := p.dev("--once", "--json")
			r := d.reports(0)
			if n := strings.Count(d.stderr.String(), "it is restored from the changelog"); n != len(stores) || strings.Count(d.stderr.String(), "\n") != n {
				t.Errorf("%d stores were damaged; one line each was expected:\n%s", len(stores), d.stderr.String())
			}
			if r.Documents != 1 || r.Nodes["vector"].Computed != 1 {
				t.Errorf("more than the edited page was evaluated: %+v", r)
			}
			p.sameAsFresh(tables...)
		})
	}
}

func change(path string, by func([]byte) []byte) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return os.WriteFile(path, by(b), 0o644)
}
