package cli

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/freshet-dev/freshet/stream"
)

// TestTargetsPage: docs/targets.md says what the targets declare, and leads to a page for each.
func TestTargetsPage(t *testing.T) {
	sinks := registry().Sinks
	compare(t, "../docs/targets.md", targetsPage(sinks), "TestTargetsPage")
	found, err := os.ReadDir("../docs/targets")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		if _, known := sinks[strings.TrimSuffix(f.Name(), ".md")]; !known {
			t.Errorf("docs/targets/%s is the page of no target; remove it", f.Name())
		}
	}
	for name, spec := range sinks {
		if spec.Name != name {
			t.Errorf("the registry has target %q under %q", spec.Name, name)
		}
		if _, err := os.Stat(filepath.Join("../docs/targets", name+".md")); err != nil {
			t.Errorf("target %s has no page: %v", name, err)
		}
	}
}

const targetsIntro = `# Targets

What each target promises and takes, as it declares it itself: this page is generated. How a target lays rows out, and what to know
when you run it, is on its own page.

## Side by side

`

const targetsWords = `
* **Rows and offset.** *One transaction*: rows and the next offset move together, and a rebuild is staged out of sight. *Guarded*: each row is put on
  condition that no newer one is there, and the next offset moves once the rows are in; a writer that is killed in between puts them again, which changes
  nothing. Either way no change is lost, and no row goes back ([DESIGN.md](../DESIGN.md#3-invariants), invariants 1, 3 and 4).
* **A document's rows.** *At once*: a reader never sees half of what one change did. *In one commit*: a writer that is killed
  leaves nothing of it, but a reader that looks while it is committed may see a part. *In order*: a reader may see a part, row by row.
* **Vectors.** Whether columns may be vectors.
* **A deleted row.** *Gone*: Freshet's readers, search among them, don't see it any more. *Tombstone*: they see that it was deleted. A guarded target
  keeps a tombstone for an hour either way: its page says how a query of your own leaves it out.
* **Shared tables.** Whether a table may have shared: rows of several documents with one key are then one for readers.
`

func targetsPage(sinks map[string]stream.SinkSpec) string {
	var b strings.Builder
	b.WriteString(targetsIntro)
	b.WriteString("| target | rows and offset | a document's rows | vectors | a deleted row | shared tables |\n| --- | --- | --- | --- | --- | --- |\n")
	names := slices.Sorted(maps.Keys(sinks))
	for _, name := range names {
		g := sinks[name].Guarantees
		fmt.Fprintf(&b, "| [`%s`](#%[1]s) | %s | %s | %s | %s | %s |\n", name, either(g.Transactional, "one transaction", "guarded"),
			either(g.AtomicDocuments, "at once", either(g.Transactional, "in one commit", "in order")), either(g.Vectors, "yes", "no"), either(g.Deletes, "gone", "tombstone"), either(g.Merges, "merged", "refused"))
	}
	b.WriteString(targetsWords)
	for _, name := range names {
		spec := sinks[name]
		fmt.Fprintf(&b, "\n## %s\n\n%s [More](targets/%[1]s.md).\n\n", name, spec.Doc)
		b.WriteString("| setting | type | default | meaning |\n| --- | --- | --- | --- |\n")
		writeSettings(&b, "", spec.Settings)
		writeSettings(&b, "each table's ", spec.TableSettings)
	}
	return b.String()
}

func writeSettings(b *strings.Builder, whose string, settings []stream.Setting) {
	for _, s := range settings {
		fmt.Fprintf(b, "| %s`%s` | %s | %s | %s |\n", whose, s.Name, s.Takes(), s.Absent(), s.Doc)
	}
}

func either(is bool, yes, no string) string {
	if is {
		return yes
	}
	return no
}
