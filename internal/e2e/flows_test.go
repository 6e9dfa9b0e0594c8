package e2e

import (
	"os"
	"strings"
	"testing"

	"github.com/freshet-dev/freshet/internal/testenv"
)

// example reads a flow of examples/flows.
func example(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile("../../examples/flows/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestNestedElements runs the flow of documents, sections and chunks: every chunk carries the title of its section.
func TestNestedElements(t *testing.T) {
	p := newProject(t, `flow: nested
sources: { page: { files: { root: ./docs, include: ["**/*.md"] } } }
models:  { lexical: { provider: hash } }
nodes:
  body:     { op: parse.markdown, in: page.content }
  sections: { op: expr, in: body.sections, each: section }
  chunks:   { op: split.markdown, in: section.text, max_tokens: 256, each: chunk }
  input:    { op: expr, in: 'section.title + "\n" + chunk.text' }
  vector:   { op: embed, in: input, model: lexical }
tables:  { chunks: { for: chunk, key: chunk.id, columns: { section: section.title, text: chunk.text, embedding: vector } } }
targets: { local: { sqlite: { path: out.db }, tables: [chunks] } }
`)
	p.write("docs/a.md", "# Rivers\n\nRivers rise.\n\n## Bends\n\nThe same words.\n\n## Mouths\n\nThe same words.\n")
	r := p.devOnce()
	if got := r.Tables["chunks"].Rows; got != 3 {
		t.Errorf("%d rows, want 3: equal texts in two sections are two chunks", got)
	}
	rows := strings.Join(p.rows("chunks"), "\n")
	for _, title := range []string{"Rivers", "Bends", "Mouths"} {
		if !strings.Contains(rows, title) {
			t.Errorf("no chunk carries the title %s:\n%s", title, rows)
		}
	}
	p.write("docs/a.md", "# Rivers\n\nRivers rise.\n\n## Bends\n\nThe same words.\n\n## Deltas\n\nThe same words.\n")
	if r = p.devOnce(); r.Nodes["vector"].Computed != 1 {
		t.Errorf("%d vectors computed after one section was renamed, want 1", r.Nodes["vector"].Computed)
	}
}

// TestRouted runs examples/flows/routed.yaml: drafts are left out, the language chooses the model, the tenant the place.
func TestRouted(t *testing.T) {
	db := testenv.SharedPostgres(t).NewDatabase(t)
	p := newProject(t, example(t, "routed.yaml"))
	p.env = []string{"DATABASE_URL=" + db.URL}
	page := func(name, matter, text string) { p.write("docs/"+name, "---\n"+matter+"---\n# "+name+"\n\n"+text+"\n") }
	page("fluss.md", "lang: de\ntenant: acme\n", "Der Fluss fliesst.")
	page("river.md", "tenant: acme\n", "The river flows.")
	page("lake.md", "tenant: still\n", "The lake lies.")
	page("sketch.md", "tenant: acme\ndraft: true\n", "Not yet.")

	r := p.devOnce()
	if de, en := r.Nodes["v_de"].Computed, r.Nodes["v_en"].Computed; de != 1 || en != 2 {
		t.Errorf("%d texts went to the German model and %d to the English one, want 1 and 2", de, en)
	}
	holds := func(schema string, want ...string) {
		t.Helper()
		got, err := query(t.Context(), db, `select path from `+schema+`.chunks order by path`)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("%s holds %v, want %v", schema, got, want)
		}
	}
	holds("acme", "fluss.md", "river.md")
	holds("other", "lake.md")

	page("river.md", "tenant: still\n", "The river flows.") // moves
	page("sketch.md", "tenant: acme\n", "Now.")             // is published
	p.remove("docs/fluss.md")
	p.devOnce()
	holds("acme", "sketch.md")
	holds("other", "lake.md", "river.md")
}
