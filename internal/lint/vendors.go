package lint

import (
	"slices"
	"strings"
)

// Directories that share a vendor's package.
var (
	kafkaHome = []string{"stream/kafka", "stream/kafka/access", "stream/kafka/embedded", "sinks/topic"}
	above     = []string{"stream/kafka", "stream/kafka/embedded", "statestore", "flow", "operators/*",
		"operators/internal/*", "sinks/*", "sources/files", "control", "cli"}
)

// homes says, by the start of an import path, which directories may import it in code that is not a test. The longest
// start decides; an empty list means tests only. A new dependency needs a line here.
var homes = map[string][]string{
	"github.com/twmb/franz-go":              kafkaHome,
	"github.com/twmb/franz-go/pkg/kfake":    {"stream/kafka/embedded"},
	"github.com/twmb/franz-go/plugin/kprom": {"stream/kafka"},
	"github.com/prometheus/client_golang":   {"control", "stream/kafka"},
	"github.com/dgraph-io/badger":           {"statestore"},
	"github.com/dgraph-io/ristretto":        {"statestore"},
	"github.com/jackc/pgx":                  {"sinks/postgres"},
	"github.com/pgvector/pgvector-go":       {"sinks/postgres"},
	"modernc.org/sqlite":                    {"sinks/sqlite"},
	"github.com/qdrant/go-client":           {"sinks/qdrant"},
	"google.golang.org/grpc":                {"sinks/qdrant"},
	"github.com/google/uuid":                {"sinks/qdrant"},
	"github.com/redis/rueidis":              {"sinks/redis"},
	"github.com/neo4j/neo4j-go-driver":      {"sinks/neo4j"},
	"github.com/apache/arrow-go":            {"sinks/lancedb"},
	"github.com/snowflakedb/gosnowflake":    {"sinks/snowflake", "internal/testenv/warehouse"},
	"cel.dev/cel-go":                        {"flow/formula"},
	"github.com/goccy/go-yaml":              {"flow", "operators/internal/markdown"},
	"github.com/yuin/goldmark":              {"operators/internal/markdown"},
	"github.com/tiktoken-go/tokenizer":      {"operators/split"},
	"github.com/santhosh-tekuri/jsonschema": {"operators/extract"},
	"github.com/linkedin/goavro":            {"schemas"},
	"github.com/tidwall/gjson":              {"schemas"},
	"github.com/bmatcuk/doublestar":         {"sources/files", "internal/history"},
	"github.com/fsnotify/fsnotify":          {"sources/files"},
	"github.com/fxamacker/cbor":             {"stream", "sources/files"},
	"github.com/zeebo/blake3":               {"stream"},
	"github.com/spf13/cobra":                {"cli"},
	"github.com/vbauerster/mpb":             {"cli"},
	"github.com/pmezard/go-difflib":         {"cli"},
	"golang.org/x/sync":                     above,
	"golang.org/x/sys":                      above,
	"golang.org/x/text":                     above,

	"github.com/cockroachdb/datadriven": {},
	"go.uber.org/goleak":                {},
	"golang.org/x/tools":                {},
	"pgregory.net/rapid":                {},
}

// homeOf finds the line of homes that an import falls under.
func homeOf(pkg string) (start string, dirs []string) {
	for s, d := range homes {
		if (pkg == s || strings.HasPrefix(pkg, s+"/")) && len(s) > len(start) {
			start, dirs = s, d
		}
	}
	return start, dirs
}

// vendorFaults finds imports of other modules away from their home.
func vendorFaults(t *Tree) []Fault {
	var faults []Fault
	for _, f := range t.files {
		l, _ := layerOf(f.dir)
		if f.test || l.aside {
			continue
		}
		for _, spec := range f.syntax.Imports {
			if text := awayFromHome(f.dir, l, imported(spec)); text != "" {
				faults = append(faults, f.fault(spec.Pos(), "vendors", "%s", text))
			}
		}
	}
	return faults
}

// awayFromHome says why a directory of a layer may not import a package of another module; empty when it may.
func awayFromHome(dir string, l layer, pkg string) string {
	if !strings.Contains(first(pkg), ".") || pkg == module || strings.HasPrefix(pkg, module+"/") {
		return ""
	}
	start, dirs := homeOf(pkg)
	at := func(pattern string) bool { return match(pattern, dir) }
	switch {
	case start == "":
		return pkg + " has no home: choose the one package that may import it, and add it to homes in internal/lint"
	case slices.ContainsFunc(dirs, at), len(dirs) == 0 && l.testOnly:
		return ""
	case len(dirs) == 0:
		return pkg + " is for tests only"
	}
	return dir + " must not import " + pkg + ": its home is " + strings.Join(dirs, ", ") + "; use what that offers"
}
