package lint

import (
	"path"
	"strings"
)

// layer says what the packages of one directory may import of this module, in code that is not a test.
type layer struct {
	imports  []string // directories, by path.Match
	aside    bool     // with all below it, stands outside the layers: imports everything, and nothing imports it
	testOnly bool     // for tests, and for what stands aside
}

// lower is what everything above the engine is built on.
var lower = []string{"stream", "stream/*", "stream/kafka/embedded", "stream/kafka/access", "schemas", "statestore", "flow", "flow/formula"}

// layers is the table of DESIGN.md, Packages. A directory that it doesn't name is a fault; siblings never meet.
var layers = map[string]layer{
	"stream":                {},
	"schemas":               {imports: []string{"stream"}},
	"schemas/fixtures":      {testOnly: true}, // a model of the fixtures that shares no code with what it checks
	"stream/engine":         {imports: []string{"stream", "schemas"}},
	"stream/kafka":          {imports: []string{"stream", "stream/engine", "stream/kafka/access", "schemas"}},
	"stream/kafka/access":   {imports: []string{"stream", "stream/trust"}},
	"stream/kafka/embedded": {imports: []string{"stream"}},
	"statestore":            {imports: []string{"stream"}},
	"flow":                  {imports: []string{"stream", "stream/merge", "flow/formula"}},
	"flow/formula":          {imports: []string{"stream"}},
	"operators/*":           {imports: []string{"stream", "operators/internal/*", "sinks/jsonvalue", "stream/trust"}},
	"operators/optest":      {imports: []string{"stream"}, testOnly: true},
	"operators/internal/*":  {imports: []string{"stream", "sinks/jsonvalue"}},
	"sinks/*":               {imports: []string{"stream", "sinks/guard", "sinks/place", "sinks/jsonvalue", "stream/merge", "sinks/rest", "stream/trust", "stream/kafka/access"}},
	"sinks/guard":           {imports: []string{"stream"}},
	"sinks/place":           {imports: []string{"stream"}},
	"sinks/jsonvalue":       {imports: []string{"stream"}},
	"sinks/rest":            {imports: []string{"stream", "stream/trust"}},
	"stream/trust":          {imports: []string{"stream"}},
	"stream/merge":          {imports: []string{"stream"}},
	"sinks/sinktest":        {imports: []string{"stream"}, testOnly: true},
	"sources/files":         {imports: []string{"stream"}},
	"control":               {imports: lower},
	"internal/history":      {imports: []string{"stream", "stream/engine", "schemas"}},
	"cmd/freshet":           {imports: []string{"cli"}},
	"cli": {imports: append([]string{"operators/*", "sinks/*", "sources/files", "control",
		"internal/history"}, lower...)},

	"internal/lint":      {},
	"internal/testenv":   {aside: true},
	"internal/sim":       {aside: true},
	"internal/torture":   {aside: true},
	"internal/e2e":       {aside: true},
	"internal/upgrade":   {aside: true},
	"internal/powerloss": {aside: true},
	"internal/mutants":   {aside: true},
	"bench":              {aside: true},
	"examples":           {aside: true},
	"python":             {aside: true},
	"tools":              {aside: true},
	"deploy":             {aside: true},
	"docs":               {aside: true},
}

// layerOf finds the layer of a directory; an exact name goes before a pattern.
func layerOf(dir string) (layer, bool) {
	if l, ok := layers[dir]; ok {
		return l, true
	}
	for pattern, l := range layers {
		if match(pattern, dir) || l.aside && strings.HasPrefix(dir, pattern+"/") {
			return l, true
		}
	}
	return layer{}, false
}

// match is path.Match with a pattern that is known to be well formed.
func match(pattern, dir string) bool {
	ok, _ := path.Match(pattern, dir)
	return ok
}

// mayImport reports whether a directory's own code may import another of this module, and if not, what to do.
func mayImport(from layer, to string) (ok bool, advice string) {
	target, known := layerOf(to)
	switch {
	case !known:
		return true, "" // reported as a directory
	case from.aside:
		return true, ""
	case target.aside, target.testOnly:
		return false, "it is for tests, benchmarks and examples only"
	}
	for _, pattern := range from.imports {
		if match(pattern, to) {
			return true, ""
		}
	}
	if len(from.imports) == 0 {
		return false, "it may import nothing of this module; declare a small interface here and let cli fill it"
	}
	return false, "it may import " + strings.Join(from.imports, ", ") +
		"; declare a small interface here and let cli fill it"
}

// layerFaults finds imports against the direction of the layers.
func layerFaults(t *Tree) []Fault {
	var faults []Fault
	for _, f := range t.files {
		from, ok := layerOf(f.dir)
		if f.test || !ok {
			continue
		}
		for _, spec := range f.syntax.Imports {
			to, ours := strings.CutPrefix(imported(spec), module+"/")
			if !ours {
				continue
			}
			if ok, advice := mayImport(from, to); !ok {
				faults = append(faults, f.fault(spec.Pos(), "layers", "%s must not import %s: %s", f.dir, to, advice))
			}
		}
	}
	return faults
}
