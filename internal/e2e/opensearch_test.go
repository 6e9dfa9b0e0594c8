package e2e

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/freshet-dev/freshet/internal/testenv"
)

const openSearchFlow = `flow: notes
sources: { page: { files: { root: ./docs, include: ["**/*.md"] } } }
models: { lexical: { provider: hash } }
nodes:
  body:   { op: parse.markdown, in: page.content }
  vector: { op: embed, in: body.text, model: lexical }
tables: { pages: { columns: { path: page.path, text: body.text, embedding: vector } } }
targets: { search: { opensearch: { url: "env:OPENSEARCH_URL", prefix: NAME- }, tables: { pages: { table: kept, replicas: 0 } } } }
`

// index reads and alters the target's table as anybody does who knows its alias and the index behind it.
type index struct {
	t            *testing.T
	alias, place string // URLs
}

// newIndex makes a project of one target, with a prefix of its own on the node that the package's tests share.
func newIndex(t *testing.T) (*project, index) {
	t.Helper()
	url, prefix := testenv.SharedOpenSearch(t).URL(), testenv.Name(t)
	p := newProject(t, strings.ReplaceAll(openSearchFlow, "NAME", prefix))
	p.env = []string{"OPENSEARCH_URL=" + url}
	x := index{t, url + "/" + prefix + "-kept", url + "/" + prefix + "-kept~1"}
	t.Cleanup(func() { x.ask(http.MethodDelete, url+"/"+prefix+"*", "") })
	return p, x
}

// ask sends a request; what it changes is visible when it is answered.
func (x index) ask(method, url, body string) []byte {
	x.t.Helper()
	request, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		x.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		x.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode >= http.StatusMultipleChoices {
		x.t.Fatalf("%s %s gives %s: %s, %v", method, url, answer.Status, text, err)
	}
	return text
}

// page is a document of the table.
type page struct {
	ID     string         `json:"_id"`
	Source map[string]any `json:"_source"`
}

// pages are those that the alias shows, by the documents of the flow that they are.
func (x index) pages() map[string]page {
	x.t.Helper()
	x.ask(http.MethodPost, x.alias+"/_refresh", "")
	var found struct{ Hits struct{ Hits []page } }
	if err := json.Unmarshal(x.ask(http.MethodPost, x.alias+"/_search", `{"size":100}`), &found); err != nil {
		x.t.Fatal(err)
	}
	all := map[string]page{}
	for _, p := range found.Hits.Hits {
		own, _ := p.Source["_freshet"].(map[string]any)
		document, _ := own["document"].(string)
		all[document] = p
	}
	return all
}

func (x index) texts() (all []string) {
	x.t.Helper()
	for document, p := range x.pages() {
		text, _ := p.Source["text"].(string)
		all = append(all, document+" "+strings.TrimSpace(text))
	}
	slices.Sort(all)
	return all
}

// put writes a page, as it is now or changed, under an ID.
func (x index) put(id string, source map[string]any) {
	x.t.Helper()
	body, err := json.Marshal(source)
	if err != nil {
		x.t.Fatal(err)
	}
	x.ask(http.MethodPut, x.place+"/_doc/"+strings.ReplaceAll(id, "/", "%2F")+"?refresh=true", string(body))
}

// TestOpenSearch: files are kept in step with an index, by the binary, as they are made, edited and deleted.
func TestOpenSearch(t *testing.T) {
	p, x := newIndex(t)
	p.keptInStep("index", x.texts)
}

// TestVerifyOpenSearch: what was removed, added or altered by hand is found and repaired.
func TestVerifyOpenSearch(t *testing.T) {
	p, x := newIndex(t)
	p.fourPages("search")
	was := x.texts()

	held := x.pages()
	edit := func(document, field string, to any) {
		source := maps.Clone(held[document].Source)
		source[field] = to
		x.put(held[document].ID, source)
	}
	own, _ := held["page/d.md"].Source["_freshet"].(map[string]any)
	version, _ := own["version"].(float64)
	alter := func(name string, to any) map[string]any {
		changed := maps.Clone(own)
		changed[name] = to
		return changed
	}
	p.planted("search", func() {
		x.ask(http.MethodDelete, x.place+"/_doc/"+strings.ReplaceAll(held["page/a.md"].ID, "/", "%2F")+"?refresh=true", "")
		edit("page/b.md", "text", "edited")
		turned := make([]float32, 256)
		turned[0] = 1
		edit("page/c.md", "embedding", turned)
	}, func() {
		edit("page/d.md", "_freshet", alter("version", version-1))
		stranger := maps.Clone(held["page/d.md"].Source)
		stranger["_freshet"] = alter("document", "page/none.md")
		x.put("page/none.md", stranger)
	})
	same(t, "index", x.texts(), was)
}
