package lint

import (
	"bytes"
	"io/fs"
	"regexp"
	"slices"
	"strings"
)

// designFaults compares the table of DESIGN.md, Packages, with the directories that there are and with layers. Naming a
// directory that stands aside names those below it.
func designFaults(t *Tree) []Fault {
	if t.design == nil {
		return nil
	}
	const rule = "design"
	var faults []Fault
	named := designPaths(t.design)
	for _, dir := range t.unnamed(named) {
		faults = append(faults, Fault{"DESIGN.md", 1, rule, "the table of packages does not name `" + dir + "/`: say what lives there"})
	}
	for p, line := range named {
		if _, ok := layerOf(p); !ok {
			faults = append(faults, Fault{"DESIGN.md", line, rule, "layers in internal/lint does not name `" + p + "/`: say what it may import"})
		}
		if _, err := fs.Stat(t.fsys, p); err != nil && !strings.Contains(p, "*") {
			faults = append(faults, Fault{"DESIGN.md", line, rule, "there is no `" + p + "/`: take it out of the table, or say below it that it is to come"})
		}
	}
	return faults
}

// unnamed are the packages, and the directories at the root, that the table's paths don't name.
func (t *Tree) unnamed(named map[string]int) []string {
	missing := slices.DeleteFunc(t.packages(), func(dir string) bool { return names(named, dir) })
	for _, top := range t.tops {
		if !names(named, top) && !namesBelow(named, top) {
			missing = append(missing, top)
		}
	}
	slices.Sort(missing)
	return slices.Compact(missing)
}

// names reports whether the table's paths name a directory, or one that it lies in and that stands aside.
func names(named map[string]int, dir string) bool {
	l, _ := layerOf(dir)
	for p := range named {
		if match(p, dir) || l.aside && strings.HasPrefix(dir, p+"/") {
			return true
		}
	}
	return false
}

// namesBelow reports whether the table's paths name something in a directory.
func namesBelow(named map[string]int, dir string) bool {
	for p := range named {
		if strings.HasPrefix(p, dir+"/") {
			return true
		}
	}
	return false
}

var (
	quoted   = regexp.MustCompile("`([^`]+)`")
	anything = regexp.MustCompile(`<[^>]*>`)
)

// designPaths are the directories in the first column of the table, with their lines; a part in <> stands for any name.
func designPaths(design []byte) map[string]int {
	paths := map[string]int{}
	within := false
	number := 0
	for line := range bytes.Lines(design) {
		number++
		if bytes.HasPrefix(line, []byte("#")) {
			within = bytes.Contains(line, []byte("Packages"))
		}
		cells := bytes.SplitN(line, []byte("|"), 3)
		if !within || len(cells) < 3 || len(cells[0]) > 0 {
			continue
		}
		for _, m := range quoted.FindAllSubmatch(cells[1], -1) {
			p := anything.ReplaceAllString(string(m[1]), "*")
			paths[strings.TrimSuffix(p, "/")] = number
		}
	}
	return paths
}
