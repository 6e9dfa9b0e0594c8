package e2e

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/freshet-dev/freshet/internal/testenv"
)

const feastFlow = `flow: notes
sources: { page: { files: { root: ./docs, include: ["**/*.md"] } } }
models: { lexical: { provider: hash } }
nodes:
  body:   { op: parse.markdown, in: page.content }
  vector: { op: embed, in: body.text, model: lexical }
tables: { pages: { columns: { path: page.path, text: body.text, embedding: vector } } }
targets: { features: { feast: { url: "env:FEAST_URL", books: NAME }, tables: { pages: { view: NAME-pages, pages: 16 } } } }
`

// shelf reads and alters the target's features as any client can.
type shelf struct {
	t      *testing.T
	server *testenv.FeastServer
	books  string
	view   testenv.FeastView
}

// newShelf makes a project of one target, whose views are applied on the server that the package's tests share.
func newShelf(t *testing.T) (*project, shelf) {
	t.Helper()
	server, name := testenv.SharedFeast(t), strings.ReplaceAll(testenv.Name(t), "__", "_")
	s := shelf{t, server, name, testenv.FeastRows(name+"-pages", map[string]string{"path": "String", "text": "String", "embedding": "Array(Float32)"})}
	server.Apply(t, testenv.FeastBooks(name), s.view)
	p := newProject(t, strings.ReplaceAll(feastFlow, "NAME", name))
	p.env = []string{"FEAST_URL=" + server.URL()}
	return p, s
}

// row is that of a document.
func (s shelf) row(document string) testenv.FeastRow {
	s.t.Helper()
	rows, err := s.server.Online(s.t.Context(), s.view, document+":")
	if err != nil {
		s.t.Fatal(err)
	}
	return rows[0]
}

func (s shelf) texts() (all []string) {
	s.t.Helper()
	keys, err := s.server.Listed(s.t.Context(), s.books, s.view.View, 16)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, key := range keys {
		document := strings.TrimSuffix(key, ":")
		text := ""
		if err := json.Unmarshal(s.row(document).Features["text"], &text); err != nil {
			s.t.Fatal(err)
		}
		all = append(all, document+" "+strings.TrimSpace(text))
	}
	slices.Sort(all)
	return all
}

// plant changes a feature of a document's row.
func (s shelf) plant(document, feature string, to any) {
	s.t.Helper()
	row := s.row(document)
	text, err := json.Marshal(to)
	if err == nil {
		row.Features[feature] = text
		err = s.server.Push(s.t.Context(), s.view, document+":", row)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// TestFeast: files are kept in step with features, by the binary, as they are made, edited and deleted.
func TestFeast(t *testing.T) {
	p, s := newShelf(t)
	p.keptInStep("view", s.texts)
}

// TestVerifyFeast: what was removed or altered by hand is found and repaired. A row under a key of its own is not: Feast lists nothing.
func TestVerifyFeast(t *testing.T) {
	p, s := newShelf(t)
	p.fourPages("features")
	was := s.texts()
	s.plant("page/a.md", "_deleted", true)
	s.plant("page/b.md", "text", "edited")
	turned := make([]float32, 256)
	turned[0] = 0.5 // a list of ints is another type to the server
	s.plant("page/c.md", "embedding", turned)
	p.finds("features", "column page/b.md text", "missing page/a.md", "vector page/c.md embedding")
	p.repairs("features", 3, p.partitions("features")...)
	p.clean("features", 4)

	s.plant("page/d.md", "_version", 1)
	p.finds("features", "version page/d.md")
	p.repairs("features", 1, p.partitions("features")...)
	p.clean("features", 4)
	same(t, "view", s.texts(), was)
}
