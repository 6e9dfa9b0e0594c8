package examples_test

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	mapHeading = regexp.MustCompile("^\\| \\*\\*`([^`]+)`\\*\\*")
	mapName    = regexp.MustCompile("`([^`]+)`")
)

// The file map of DESIGN.md names every file of the packages that it lists, and no other.
func TestFileMap(t *testing.T) {
	_, fileMap, found := strings.Cut(read(t, "../DESIGN.md"), "\n## 12.")
	if !found {
		t.Fatal("DESIGN.md has no section 12")
	}
	dir, named := "", map[string]map[string]bool{}
	for line := range strings.Lines(fileMap) {
		if m := mapHeading.FindStringSubmatch(line); m != nil {
			dir = "../" + m[1]
			named[dir] = map[string]bool{}
			continue
		}
		if strings.HasPrefix(line, "| **others**") {
			break
		}
		cells := strings.Split(line, "|")
		if dir == "" || len(cells) < 2 {
			continue
		}
		for _, m := range mapName.FindAllStringSubmatch(cells[1], -1) {
			files := glob(t, filepath.Join(dir, m[1]))
			if len(files) == 0 {
				t.Errorf("DESIGN.md names %s in %s, which is not there", m[1], dir)
			}
			for _, f := range files {
				named[dir][f] = true
			}
		}
	}
	for dir, names := range named {
		for _, f := range glob(t, filepath.Join(dir, "*.go")) {
			if !names[f] && !strings.HasSuffix(f, "_test.go") && filepath.Base(f) != "doc.go" {
				t.Errorf("the file map of DESIGN.md does not name %s", f)
			}
		}
	}
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	return files
}
