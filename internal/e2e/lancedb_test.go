package e2e

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/freshet-dev/freshet/internal/testenv"
)

const lanceFlow = `flow: notes
sources: { page: { files: { root: ./docs, include: ["**/*.md"] } } }
models: { lexical: { provider: hash } }
nodes:
  body:   { op: parse.markdown, in: page.content }
  vector: { op: embed, in: body.text, model: lexical }
tables: { pages: { columns: { path: page.path, text: body.text, embedding: vector } } }
targets: { lake: { lancedb: { url: "env:LANCEDB_URL", namespace: [NAME] }, tables: { pages: { table: kept } } } }
`

// lake reads and alters the target's table as any client can.
type lake struct {
	t     *testing.T
	table testenv.LanceTable
}

// newLake makes a project of one target, in a namespace of its own on the server that the package's tests share.
func newLake(t *testing.T) (*project, lake) {
	t.Helper()
	server, namespace := testenv.SharedLance(t), testenv.Name(t)
	p := newProject(t, strings.ReplaceAll(lanceFlow, "NAME", namespace))
	p.env = []string{"LANCEDB_URL=" + server.URL()}
	return p, lake{t, server.Table(namespace + "$kept")}
}

// rows are those that are no tombstones, by their documents.
func (l lake) rows() map[string]map[string]any {
	l.t.Helper()
	found, err := l.table.Query(l.t.Context(), "_deleted = false")
	if err != nil {
		l.t.Fatal(err)
	}
	all := map[string]map[string]any{}
	for _, text := range found {
		var row map[string]any
		if err := json.Unmarshal(text, &row); err != nil {
			l.t.Fatal(err)
		}
		document, _ := row["_document"].(string)
		all[document] = row
	}
	return all
}

func (l lake) texts() (all []string) {
	l.t.Helper()
	for document, row := range l.rows() {
		text, _ := row["text"].(string)
		all = append(all, document+" "+strings.TrimSpace(text))
	}
	slices.Sort(all)
	return all
}

// plant writes a document's row with some columns changed, over it or, where its ID is changed, beside it.
func (l lake) plant(document string, changed map[string]any) {
	l.t.Helper()
	row := l.rows()[document]
	if row == nil {
		l.t.Fatalf("no row of %s", document)
	}
	for column, to := range changed {
		row[column] = to
	}
	if err := l.table.Put(l.t.Context(), "_id", row); err != nil {
		l.t.Fatal(err)
	}
}

// TestLanceDB: files are kept in step with a table, by the binary, as they are made, edited and deleted.
func TestLanceDB(t *testing.T) {
	p, l := newLake(t)
	p.keptInStep("table", l.texts)
}

// TestVerifyLanceDB: what was removed, added or altered by hand is found and repaired.
func TestVerifyLanceDB(t *testing.T) {
	p, l := newLake(t)
	p.fourPages("lake")
	was := l.texts()
	p.planted("lake", func() {
		if _, err := l.table.Ask(t.Context(), "delete", map[string]string{"predicate": "_document = 'page/a.md'"}); err != nil {
			t.Fatal(err)
		}
		l.plant("page/b.md", map[string]any{"text": "edited"})
		turned := make([]float32, 256)
		turned[0] = 1
		l.plant("page/c.md", map[string]any{"embedding": turned})
	}, func() {
		version, _ := l.rows()["page/d.md"]["_version"].(float64)
		l.plant("page/d.md", map[string]any{"_version": version - 1})
		l.plant("page/d.md", map[string]any{"_id": "page/none.md:", "_document": "page/none.md"})
	})
	same(t, "table", l.texts(), was)
}
