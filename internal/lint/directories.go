package lint

import (
	"bytes"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// directoryFaults finds directories that the table of layers doesn't name.
func directoryFaults(t *Tree) []Fault {
	const advice = "is not in the table of packages: add it to DESIGN.md and to layers in internal/lint, or move it"
	var faults []Fault
	for _, top := range t.tops {
		if !slices.ContainsFunc(slices.Collect(maps.Keys(layers)), func(p string) bool { return first(p) == top }) {
			faults = append(faults, Fault{top, 1, "directory", top + " " + advice})
		}
	}
	seen := map[string]bool{}
	for _, f := range t.files {
		if _, ok := layerOf(f.dir); !ok && !f.test && !seen[f.dir] && !slices.Contains(t.tops, f.dir) {
			seen[f.dir] = true
			faults = append(faults, Fault{f.path, 1, "directory", "the package " + f.dir + " " + advice})
		}
	}
	return faults
}

// first is the first part of a path.
func first(p string) string {
	top, _, _ := strings.Cut(p, "/")
	return top
}

// designFaults compares the table of DESIGN.md, Packages, with layers: both name the same directories.
func designFaults(t *Tree) []Fault {
	if t.design == nil {
		return nil
	}
	var faults []Fault
	named := designPaths(t.design)
	for _, p := range slices.Sorted(maps.Keys(layers)) {
		if _, ok := named[p]; !ok {
			faults = append(faults, Fault{"DESIGN.md", 1, "design", "the table of packages does not name `" + p + "/`; layers in internal/lint does"})
		}
	}
	for p, line := range named {
		if _, ok := layers[p]; !ok {
			faults = append(faults, Fault{"DESIGN.md", line, "design", "the table of packages names `" + p + "/`; layers in internal/lint does not"})
		}
	}
	return faults
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
