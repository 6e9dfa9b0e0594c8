package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// project is a directory with a flow file, as a user has one.
type project struct {
	t      testing.TB
	dir    string
	env    []string
	flow   string // what the flow file held first, or was rewritten to
	binary string // what it is run by; "": the build that all tests run
}

func newProject(t testing.TB, flow string) *project {
	p := &project{t: t, dir: t.TempDir(), flow: flow}
	p.write("flow.yaml", flow)
	return p
}

// write replaces a file as editors do: readers see the old or the new content.
func (p *project) write(path, content string) {
	p.t.Helper()
	path = filepath.Join(p.dir, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(path+"~", []byte(content), 0o644); err != nil {
		p.t.Fatal(err)
	}
	if err := os.Rename(path+"~", path); err != nil {
		p.t.Fatal(err)
	}
}

func (p *project) remove(path string) {
	p.t.Helper()
	if err := os.Remove(filepath.Join(p.dir, path)); err != nil {
		p.t.Fatal(err)
	}
}

// dev starts `freshet dev` on the flow file.
func (p *project) dev(args ...string) *process {
	return p.command("dev", args...)
}

// run starts `freshet run` on the flow file.
func (p *project) run(args ...string) *process {
	return p.command("run", args...)
}

// devOnce and runOnce let the flow catch up, and return the report.
func (p *project) devOnce() report {
	p.t.Helper()
	return p.dev("--once", "--json").reports(0)
}

func (p *project) runOnce(args ...string) report {
	p.t.Helper()
	return p.run(append(args, "--once", "--json")...).reports(0)
}

// rows are those of a table in the project's SQLite file.
func (p *project) rows(table string) []string {
	p.t.Helper()
	return sqliteRows(p.t, filepath.Join(p.dir, "out.db"), table)
}

// fresh is a project with the same files and flow, and nothing of what was made from them.
func (p *project) fresh() *project {
	p.t.Helper()
	q := &project{t: p.t, dir: p.t.TempDir(), env: p.env, binary: p.binary}
	for _, name := range []string{"docs", "flow.yaml"} {
		from, to := filepath.Join(p.dir, name), filepath.Join(q.dir, name)
		info, err := os.Stat(from)
		switch {
		case err == nil && info.IsDir():
			err = os.CopyFS(to, os.DirFS(from))
		case err == nil:
			text, readErr := os.ReadFile(from)
			if err = readErr; err == nil {
				err = os.WriteFile(to, text, 0o644)
			}
		}
		if err != nil {
			p.t.Fatal(err)
		}
	}
	return q
}

// same compares rows, and says where they begin to differ.
func same(t testing.TB, what string, got, want []string) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || got[i] != want[i] {
			t.Errorf("%s: %d rows, want %d; row %d differs:\n got %s\nwant %s", what, len(got), len(want), i, at(got, i), at(want, i))
			return
		}
	}
}

func at(rows []string, i int) string {
	if i >= len(rows) {
		return "(none)"
	}
	return rows[i]
}

// holds checks that one row of rows has all the words, in any order.
func holds(t testing.TB, rows []string, words ...string) {
	t.Helper()
	for _, r := range rows {
		if containsAll(r, words) {
			return
		}
	}
	t.Errorf("no row has %q:\n%s", words, strings.Join(rows, "\n"))
}

func containsAll(text string, words []string) bool {
	for _, w := range words {
		if !strings.Contains(text, w) {
			return false
		}
	}
	return true
}
