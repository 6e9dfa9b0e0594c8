package examples_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// pages are the markdown files of the repository, relative to its root.
func pages(t *testing.T) []string {
	t.Helper()
	found, err := filepath.Glob("../*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"../docs", "../examples"} {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err == nil && filepath.Ext(path) == ".md" {
				found = append(found, path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return found
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

var link = regexp.MustCompile(`\]\(([^)#\s]+)(#[^)]*)?\)`)

// Every link of a page to a file of the repository leads somewhere.
func TestLinks(t *testing.T) {
	for _, page := range pages(t) {
		for _, m := range link.FindAllStringSubmatch(read(t, page), -1) {
			if strings.Contains(m[1], "://") || strings.HasPrefix(m[1], "mailto:") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), m[1])); err != nil {
				t.Errorf("%s links to %s, which is not there", page, m[1])
			}
		}
	}
}

// docs/README.md, or the README of a folder, leads to every page.
func TestPagesAreListed(t *testing.T) {
	for _, page := range pages(t) {
		dir, name := filepath.Split(page)
		if name == "README.md" || !strings.HasPrefix(page, "../docs/") {
			continue
		}
		index := "../docs/README.md"
		if _, err := os.Stat(dir + "README.md"); err == nil {
			index = dir + "README.md"
		}
		from, err := filepath.Rel(filepath.Dir(index), page)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(read(t, index), "]("+filepath.ToSlash(from)+")") {
			t.Errorf("%s does not link to %s", index, page)
		}
	}
}

// shown is how DESIGN.md names what shows a reaction: `package: TestName`, or `sinktest: title of a case`.
var shown = regexp.MustCompile("`([a-z/]+): ([^`]+)`")

// Every test that DESIGN.md names exists.
func TestNamedTests(t *testing.T) {
	_, table, found := strings.Cut(read(t, "../DESIGN.md"), "\n## 11.")
	if !found {
		t.Fatal("DESIGN.md has no section 11")
	}
	named := shown.FindAllStringSubmatch(table, -1)
	if len(named) < 30 {
		t.Fatalf("found only %d tests in DESIGN.md, section 11: has its form changed?", len(named))
	}
	for _, m := range named {
		dir, want := m[1], "func "+m[2]+"("
		if dir == "sinktest" {
			dir, want = "sinks/sinktest", `{"`+m[2]+`"`
		}
		if !sourceHas(t, filepath.Join("..", dir), want) {
			t.Errorf("DESIGN.md names %s in %s, which is not there", m[2], dir)
		}
	}
}

func sourceHas(t *testing.T, dir, text string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if strings.Contains(read(t, f), text) {
			return true
		}
	}
	return false
}
