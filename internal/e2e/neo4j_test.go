package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/neo4j/neo4j-go-driver/v5/neo4j"

	"github.com/freshet-dev/freshet/internal/testenv"
)

const graphFlow = `flow: NAME
sources: { page: { files: { root: ./docs, include: ["**/*.md"] } } }
models: { lexical: { provider: hash } }
nodes:
  body:   { op: parse.markdown, in: page.content }
  tags:   { op: expr, in: 'body.meta.tags.or([])', each: tag }
  vector: { op: embed, in: body.text, model: lexical }
tables:
  pages: { columns: { text: body.text, embedding: vector } }
  tags:  { for: tag, key: string(tag), shared: { said: longest }, columns: { said: body.text } }
  about: { for: tag, key: string(tag), columns: { page: '"page/" + page.path', tag: string(tag) } }
targets:
  kg:
    neo4j: { url: "env:NEO4J_URL", password: "env:NEO4J_PASSWORD" }
    tables: { pages: { node: NAME_page }, tags: { node: NAME_tag }, about: { edge: ABOUT, from: [NAME_page, page], to: [NAME_tag, tag] } }
`

// graph reads and alters a database as anybody does. In what it is asked, PAGE and TAG are the flow's labels.
type graph struct {
	t      *testing.T
	client neo4j.DriverWithContext
	labels *strings.Replacer
}

// newGraph makes a project of one target, with labels of its own in the server that the package's tests share.
func newGraph(t *testing.T) (*project, graph) {
	t.Helper()
	server, name := testenv.SharedNeo4j(t), testenv.Name(t)
	p := newProject(t, strings.ReplaceAll(graphFlow, "NAME", name))
	p.env = []string{"NEO4J_URL=bolt://" + server.User() + "@" + server.Addr(), "NEO4J_PASSWORD=" + server.Password()}
	client, err := neo4j.NewDriverWithContext(server.URL(), neo4j.BasicAuth(server.User(), server.Password(), ""))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close(t.Context()) })
	return p, graph{t, client, strings.NewReplacer("PAGE", name+"_page", "TAG", name+"_tag")}
}

// ask runs a statement and returns what it finds, a line a row, sorted.
func (g graph) ask(cypher string) []string {
	g.t.Helper()
	lines, _ := g.run(cypher)
	return lines
}

// alter demands that a statement alters something.
func (g graph) alter(cypher string) {
	g.t.Helper()
	if _, c := g.run(cypher); !c.ContainsUpdates() {
		g.t.Fatalf("%s alters nothing", cypher)
	}
}

func (g graph) run(cypher string) (lines []string, altered neo4j.Counters) {
	g.t.Helper()
	result, err := neo4j.ExecuteQuery(g.t.Context(), g.client, g.labels.Replace(cypher), nil, neo4j.EagerResultTransformer)
	if err != nil {
		g.t.Fatalf("%s: %v", cypher, err)
	}
	for _, r := range result.Records {
		lines = append(lines, strings.TrimSuffix(fmt.Sprintln(r.Values...), "\n"))
	}
	slices.Sort(lines)
	return lines, result.Summary.Counters()
}

// about are the relationships, with what is at their ends.
func (g graph) about() []string {
	g.t.Helper()
	return g.ask("MATCH (p:PAGE)-[:ABOUT]->(t:TAG) RETURN p._document, t._key, trim(t.said)")
}

// TestNeo4j: files are kept in step with a graph, by the binary, as they are made, edited and deleted.
func TestNeo4j(t *testing.T) {
	p, g := newGraph(t)
	p.write("docs/a.md", "---\ntags: [birds, ponds]\n---\nHerons fish.")
	p.write("docs/b.md", "---\ntags: [birds]\n---\nHerons fish at dawn.")
	p.devOnce()
	same(t, "graph", g.about(), []string{"page/a.md birds Herons fish at dawn.", "page/a.md ponds Herons fish.", "page/b.md birds Herons fish at dawn."})

	p.remove("docs/b.md")
	p.write("docs/a.md", "---\ntags: [birds]\n---\nHerons sleep.")
	p.devOnce()
	same(t, "graph", g.about(), []string{"page/a.md birds Herons sleep."})
	same(t, "tags", g.ask("MATCH (t:TAG) RETURN t._key"), []string{"birds"})
}

// TestVerifyNeo4j: what was removed, added or altered by hand is found and repaired, of nodes, of relationships, and of a node that documents share.
func TestVerifyNeo4j(t *testing.T) {
	p, g := newGraph(t)
	for _, name := range []string{"a", "b", "c", "d"} {
		p.write("docs/"+name+".md", "---\ntags: [birds, "+name+"]\n---\nHerons fish at dawn, says "+name+".")
	}
	p.devOnce()
	const rows = 4 + 8 + 8
	p.clean("kg", rows)
	was := g.about()

	g.alter("MATCH (p:PAGE {_document: 'page/a.md'}) DETACH DELETE p")
	g.alter("MATCH (p:PAGE {_document: 'page/b.md'}) SET p.text = 'edited'")
	g.alter("MATCH (p:PAGE {_document: 'page/c.md'}) SET p.embedding = [1.0] + p.embedding[1..]")
	g.alter("MATCH (:PAGE {_document: 'page/d.md'})-[r:ABOUT]->(:TAG {_key: 'birds'}) DELETE r")
	g.alter("MATCH (t:TAG {_key: 'd'}) SET t.said = 'edited'")
	// The relationships that went with a's node are not missed, but come back with it.
	p.finds("kg", "column page/b.md text", "column page/d.md said", "missing page/a.md", "missing page/d.md", "vector page/c.md embedding")
	p.repairs("kg", 5, p.partitions("kg")...)
	p.clean("kg", rows)
	same(t, "graph", g.about(), was)

	g.alter("MATCH (p:PAGE {_document: 'page/d.md'}) SET p._version = p._version - 1")
	g.alter("MATCH (p:PAGE {_document: 'page/a.md'}) CREATE (:PAGE {_document: 'page/none.md', _key: '', _version: p._version, _partition: p._partition})")
	p.finds("kg", "extra page/none.md", "version page/d.md")
	p.repairs("kg", 2)
	p.clean("kg", rows)
	same(t, "graph", g.about(), was)
}
