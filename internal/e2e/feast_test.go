package e2e

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

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
	row.Features[feature] = s.json(to)
	s.push(s.view, document+":", row)
}

func (s shelf) push(v testenv.FeastView, key string, row testenv.FeastRow) {
	s.t.Helper()
	if err := s.server.Push(s.t.Context(), v, key, row); err != nil {
		s.t.Fatal(err)
	}
}

// page is the row of bookkeeping that lists a document's row, and what it lists.
func (s shelf) page(document string) (name string, held testenv.FeastRow, listed []map[string]json.RawMessage) {
	s.t.Helper()
	h := fnv.New32a()
	h.Write([]byte(document))
	name = fmt.Sprintf("rows/%s/%d", s.view.View, h.Sum32()%16)
	rows, err := s.server.Online(s.t.Context(), testenv.FeastBooks(s.books), name)
	if err != nil {
		s.t.Fatal(err)
	}
	body := ""
	if err := json.Unmarshal(rows[0].Features["_body"], &body); err != nil {
		s.t.Fatal(err)
	}
	if body == "" {
		return name, testenv.FeastRow{Features: map[string]json.RawMessage{}, At: time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)}, nil
	}
	if err := json.Unmarshal([]byte(body), &listed); err != nil {
		s.t.Fatal(err)
	}
	return name, rows[0], listed
}

// copy gives another document a document's row, and lists it.
func (s shelf) copy(document, to string) {
	s.t.Helper()
	row := s.row(document)
	row.Features["_document"] = s.json(to)
	s.push(s.view, to+":", row)

	own := string(s.json(document))
	_, _, listed := s.page(document)
	at := slices.IndexFunc(listed, func(e map[string]json.RawMessage) bool { return string(e["d"]) == own })
	if at < 0 {
		s.t.Fatalf("document %s is not listed: %s", document, s.json(listed))
	}
	entry := maps.Clone(listed[at])
	entry["d"] = s.json(to)
	name, page, listed := s.page(to)
	page.Features["_body"], page.Features["_sequence"] = s.json(string(s.json(append(listed, entry)))), s.json(1)
	s.push(testenv.FeastBooks(s.books), name, page)
}

func (s shelf) json(v any) json.RawMessage {
	s.t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		s.t.Fatal(err)
	}
	return text
}

// TestFeast: files are kept in step with features, by the binary, as they are made, edited and deleted.
func TestFeast(t *testing.T) {
	p, s := newShelf(t)
	p.keptInStep("view", s.texts)
}

// TestVerifyFeast: what was removed, added or altered by hand is found and repaired. A row that Freshet's bookkeeping does not list is not: Feast lists nothing.
func TestVerifyFeast(t *testing.T) {
	p, s := newShelf(t)
	p.fourPages("features")
	was := s.texts()
	p.planted("features", func() {
		s.plant("page/a.md", "_deleted", true)
		s.plant("page/b.md", "text", "edited")
		turned := make([]float32, 256)
		turned[0] = 0.5 // a list of ints is another type to the server
		s.plant("page/c.md", "embedding", turned)
	}, func() {
		s.plant("page/d.md", "_version", 1)
		s.copy("page/a.md", "page/none.md")
	})
	same(t, "view", s.texts(), was)
}
