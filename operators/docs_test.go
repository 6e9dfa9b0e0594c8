// Package operators_test keeps the reference pages in step with what operators declare.
package operators_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/freshet-dev/freshet/operators/embed"
	"github.com/freshet-dev/freshet/operators/exec"
	"github.com/freshet-dev/freshet/operators/extract"
	"github.com/freshet-dev/freshet/operators/normalize"
	"github.com/freshet-dev/freshet/operators/parse"
	"github.com/freshet-dev/freshet/operators/remote"
	"github.com/freshet-dev/freshet/operators/split"
	"github.com/freshet-dev/freshet/stream"
)

var update = flag.Bool("update", false, "rewrite the generated parts of the reference pages")

var pages = filepath.Join("..", "docs", "operators")

func TestPages(t *testing.T) {
	for _, spec := range []stream.OperatorSpec{
		parse.Markdown(), parse.Text(), split.Markdown(), split.Text(), normalize.Text(), embed.Spec(), extract.Spec(), exec.Spec(), remote.Spec(),
	} {
		t.Run(spec.Name, func(t *testing.T) { checkPart(t, spec.Name+".md", spec.Name, operatorPart(t, spec)) })
	}
	for page, providers := range map[string][]stream.ProviderSpec{"embed.md": {embed.Hash(), embed.OpenAI()}, "extract.md": {extract.OpenAI()}} {
		for _, spec := range providers {
			t.Run("provider "+spec.Name, func(t *testing.T) {
				checkPart(t, page, "provider "+spec.Name, spec.Doc+"\n\n"+table(spec.Settings))
			})
		}
	}
}

// checkPart compares what lies between the page's two marks with what is declared.
func checkPart(t *testing.T, file, name, want string) {
	t.Helper()
	path := filepath.Join(pages, file)
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	from, to := "<!-- declared: "+name+" -->\n", "<!-- end -->"
	before, rest, found := strings.Cut(string(page), from)
	got, after, ended := strings.Cut(rest, to)
	if !found || !ended {
		t.Fatalf("%s has no part between %s and %s", path, strings.TrimSpace(from), to)
	}
	if got == want {
		return
	}
	if !*update {
		t.Fatalf("%s is out of date: run go test ./operators -update\ngot\n%s\nwant\n%s", path, got, want)
	}
	if err := os.WriteFile(path, []byte(before+from+want+to+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

func operatorPart(t *testing.T, spec stream.OperatorSpec) string {
	t.Helper()
	return fmt.Sprintf("%s\n\nGives: %s\n\nVersion: %d\n\n%s", spec.Doc, gives(t, spec), spec.Version, table(spec.Settings))
}

func gives(t *testing.T, spec stream.OperatorSpec) string {
	t.Helper()
	switch has := func(name string) bool {
		return slices.ContainsFunc(spec.Settings, func(s stream.Setting) bool { return s.Name == name })
	}; {
	case has("returns"):
		return "what `returns` declares; results are kept"
	case has("schema"):
		return "what `schema` describes; results are kept"
	}
	hash := embed.Hash()
	out, err := spec.Output(stream.TypeString, stream.Settings{Model: &stream.Model{Name: "lexical", Provider: &hash}})
	if err != nil {
		t.Fatal(err)
	}
	if spec.Costly {
		return "`" + out.String() + "` (here of the provider hash); results are kept"
	}
	return "`" + out.String() + "`"
}

func table(settings []stream.Setting) string {
	if len(settings) == 0 {
		return "It has no settings.\n"
	}
	var b strings.Builder
	b.WriteString("| setting | type | default | changes the result | meaning |\n| --- | --- | --- | --- | --- |\n")
	for _, s := range settings {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", s.Name, s.Takes(), s.Absent(), map[bool]string{true: "yes", false: "no"}[s.Output], s.Doc)
	}
	return b.String()
}
