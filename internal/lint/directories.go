package lint

import (
	"maps"
	"slices"
	"strings"
)

// directoryFaults finds directories that the table of layers doesn't name.
func directoryFaults(t *Tree) []Fault {
	const advice = "is not in the table of packages: add it to DESIGN.md and to layers in internal/lint, or move it"
	var faults []Fault
	known := slices.Collect(maps.Keys(layers))
	for _, top := range t.tops {
		if !slices.ContainsFunc(known, func(p string) bool { return first(p) == top }) {
			faults = append(faults, Fault{top, 1, "directory", top + " " + advice})
		}
	}
	for _, dir := range t.packages() {
		if _, ok := layerOf(dir); !ok && !slices.Contains(t.tops, dir) {
			faults = append(faults, Fault{dir, 1, "directory", "the package " + dir + " " + advice})
		}
	}
	return faults
}

// packages are the directories that hold Go code other than tests, sorted.
func (t *Tree) packages() []string {
	dirs := map[string]bool{}
	for _, f := range t.files {
		if !f.test {
			dirs[f.dir] = true
		}
	}
	return slices.Sorted(maps.Keys(dirs))
}

// first is the first part of a path.
func first(p string) string {
	top, _, _ := strings.Cut(p, "/")
	return top
}
