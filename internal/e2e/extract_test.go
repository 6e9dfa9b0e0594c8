package e2e

import (
	"database/sql"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/freshet-dev/freshet/internal/testenv"
)

// factsFlow asks a model about each chunk. Its prompt and its schema lie among the documents, which are of another name.
const factsFlow = `flow: facts
kafka: { partitions: 3 }
sources:
  page: { files: { root: docs, include: ["**/*.md"] } }
models: { llm: { provider: openai.chat, base_url: STUB, model: one } }
nodes:
  parsed: { op: parse.markdown, in: page.content }
  chunks: { op: split.markdown, in: parsed, max_tokens: 32, each: chunk }
  facts:  { op: extract, in: chunk.text, model: llm, prompt: docs/facts.txt, schema: docs/facts.json }
tables:
  chunks: { for: chunk, key: chunk.id, columns: { text: chunk.text, kinds: 'facts.entities.map(e, e.kind)', entities: facts.entities } }
targets:
  local: { sqlite: { path: out.db }, tables: [chunks] }
`

const factsSchema = `{"type": "object", "required": ["entities", "relations"], "additionalProperties": false, "properties": {
  "entities": {"type": "array", "items": {"type": "object", "required": ["name", "kind", "description"], "additionalProperties": false,
    "properties": {"name": {"type": "string"}, "kind": {"type": "string"}, "description": {"type": ["string", "null"]}}}},
  "relations": {"type": "array", "items": {"type": "object", "required": ["from", "type", "to"], "additionalProperties": false,
    "properties": {"from": {"type": "string"}, "type": {"type": "string"}, "to": {"type": "string"}}}}}}`

// TestChangedPrompt: another prompt asks about every chunk again, as the plan says, counted at a stub of the model's server; the old one finds its
// answers. Also on the recorded documents, with FRESHET_CHANGED_DOCUMENTS of each corpus.
func TestChangedPrompt(t *testing.T) {
	scenes := map[string]func(*project){"pages": func(p *project) { p.pages() }}
	for _, corpus := range corpora {
		scenes[corpus] = func(p *project) {
			documents := last(p.t, corpus)
			paths := slices.Sorted(maps.Keys(documents))
			for _, path := range paths[:min(len(paths), scaled(p.t, "FRESHET_CHANGED_DOCUMENTS", 2))] {
				p.write("docs/"+path, documents[path])
			}
		}
	}
	for name, write := range scenes {
		t.Run(name, func(t *testing.T) {
			m := newModelServer(t)
			p := newProject(t, strings.ReplaceAll(factsFlow, "STUB", fmt.Sprintf("%q", m.URL)))
			p.write("docs/facts.txt", "thing is what each word is.")
			p.write("docs/facts.json", factsSchema)
			write(p)
			first := p.devOnce()
			if n := first.Nodes["facts"].Computed; n == 0 || n != len(m.asked()) {
				t.Fatalf("%d answers", n)
			}
			p.write("docs/facts.txt", "person is what each word is.")
			plan := p.plans()
			if n := plan.Nodes["facts"]; n.Computed != first.Nodes["facts"].Computed || n.Tokens < n.Computed*40 {
				t.Errorf("planned %+v", n) // the prompt and the schema go along with each text
			}
			if len(m.asked()) > 0 {
				t.Error("the plan asked the model")
			}
			report := p.devOnce()
			p.foretold(plan, report)
			if n := len(m.asked()); n != plan.Nodes["facts"].Computed {
				t.Errorf("the model was asked %d times, %d were planned", n, plan.Nodes["facts"].Computed)
			}
			p.sameAsFresh("chunks")
			m.asked()
			p.write("docs/facts.txt", "thing is what each word is.")
			plan = p.plans()
			report = p.devOnce()
			p.foretold(plan, report)
			if report.Nodes["facts"].Reused != first.Nodes["facts"].Computed+first.Nodes["facts"].Reused || len(m.asked()) > 0 {
				t.Errorf("the old prompt: %+v", report)
			}
			if r := p.devOnce(); r.Documents != 0 {
				t.Errorf("nothing changed: %+v", r)
			}
		})
	}
}

// TestRecordedPrompt: a revision has its prompt with it. Who runs it needs no file that fits: a prompt that was not applied is not used, and an
// earlier revision that is applied again finds its answers though the file says something else.
func TestRecordedPrompt(t *testing.T) {
	broker, m := testenv.SharedKafka(t), newModelServer(t)
	p := newProject(t, strings.NewReplacer("flow: facts\nkafka: {", fmt.Sprintf("flow: %s\nkafka: { brokers: [%q],", strings.ReplaceAll(testenv.Name(t), "_", "-"), broker.Addr()),
		"STUB", fmt.Sprintf("%q", m.URL)).Replace(factsFlow)).pages()
	p.write("docs/facts.txt", "thing is what each word is.")
	p.write("docs/facts.json", factsSchema)
	p.runOnce()
	first := p.rows("chunks")
	asked := len(m.asked())

	p.write("docs/facts.txt", "person is what each word is.")
	if r := p.runOnce(); r.Documents != 0 || len(m.asked()) != 0 {
		t.Errorf("a prompt that was not applied: %+v", r)
	}
	p.command("apply", "--yes").exits(0)
	p.write("docs/facts.txt", "place is what each word is.") // another file than was applied
	p.runOnce()
	if n := len(m.asked()); n != asked {
		t.Errorf("the model was asked %d times about another prompt, want %d", n, asked)
	}
	if second := p.rows("chunks"); slices.Equal(first, second) || !strings.Contains(strings.Join(second, "\n"), "person") {
		t.Errorf("the rows are %v", second)
	}
	p.explainsBoth()
	p.command("apply", "--revision", "1", "--yes").exits(0)
	p.runOnce()
	same(t, "chunks", p.rows("chunks"), first)
	if n := len(m.asked()); n != 0 {
		t.Errorf("the model was asked %d times about the first prompt again", n)
	}
	c := p.command("revisions", "--json")
	if c.exits(0); strings.Count(c.stdout.String(), `"docs/facts.txt":"thing is what each word is."`) != 2 {
		t.Errorf("revisions: %s", c.stdout.String())
	}
}

// explainsBoth demands that explain tells a row as it is and as it was before its prompt changed.
func (p *project) explainsBoth() {
	p.t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(p.dir, "out.db"))
	if err != nil {
		p.t.Fatal(err)
	}
	defer db.Close()
	var key string
	if err := db.QueryRowContext(p.t.Context(), "select min(_key) from chunks where _document = 'page/lakes.md'").Scan(&key); err != nil {
		p.t.Fatal(err)
	}
	c := p.command("explain", "local", "page/lakes.md", key)
	c.exits(0)
	is, was, told := strings.Cut(c.stdout.String(), "  before     version ")
	if !told || !strings.Contains(is, "person") || !strings.Contains(was, "    column   kinds = [\"thing\"") || strings.Contains(was, "    column   text") {
		p.t.Errorf("explain says\n%s", c.stdout.String())
	}
}

const factsGraph = `flow: NAME
sources: { page: { files: { root: ./docs, include: ["**/*.md"] } } }
models: { llm: { provider: openai.chat, base_url: STUB, model: one } }
nodes:
  parsed:    { op: parse.markdown, in: page.content }
  chunks:    { op: split.markdown, in: parsed, max_tokens: 16, each: chunk }
  facts:     { op: extract, in: chunk.text, model: llm, schema: docs/facts.json, prompt: docs/facts.txt }
  entities:  { op: expr, in: facts.entities, each: entity }
  relations: { op: expr, in: facts.relations, each: relation }
tables:
  entities:  { for: entity, key: entity.name, shared: { kind: first, description: longest }, columns: { kind: entity.kind, description: entity.description } }
  relations: { for: relation, key: 'relation.from + "|" + relation.type + "|" + relation.to', shared: {}, columns: { from: relation.from, to: relation.to, type: relation.type } }
targets:
  kg:
    neo4j: { url: "env:NEO4J_URL", password: "env:NEO4J_PASSWORD" }
    tables: { entities: { node: NAME_page }, relations: { edge: type, from: [NAME_page, from], to: [NAME_page, to] } }
`

// TestFactsToGraph: flow (c) of the language. Chunks of one page, and pages, that name an entity contribute to one node.
func TestFactsToGraph(t *testing.T) {
	p, g := newGraph(t)
	m := newModelServer(t)
	p.write("flow.yaml", strings.NewReplacer("NAME", strings.TrimSuffix(g.labels.Replace("PAGE"), "_page"), "STUB", fmt.Sprintf("%q", m.URL)).Replace(factsGraph))
	p.write("docs/facts.txt", "bird is what each word is.")
	p.write("docs/facts.json", factsSchema)
	p.write("docs/a.md", "# Ponds\n\nHerons fish where Carps are.\n\n## Dawn\n\nHerons sleep until the Dawn comes to the pond.\n")
	p.write("docs/b.md", "# Carps\n\nCarps fear Herons.\n")
	r := p.devOnce()
	p.clean("kg", r.Tables["entities"].Rows+r.Tables["relations"].Rows)
	same(t, "nodes", g.ask("MATCH (e:PAGE) RETURN e._key, e.kind"), []string{"Carps bird", "Dawn bird", "Herons bird", "Ponds bird"})
	edges := g.ask("MATCH (a:PAGE)-[r:BEFORE]->(b:PAGE) RETURN a._key, b._key")
	if !strings.Contains(strings.Join(edges, ","), "Herons Carps") || !strings.Contains(strings.Join(edges, ","), "Carps Herons") {
		t.Errorf("the relationships are %v", edges)
	}
	p.remove("docs/a.md")
	p.devOnce()
	same(t, "nodes", g.ask("MATCH (e:PAGE) RETURN e._key"), []string{"Carps", "Herons"})
	same(t, "relationships", g.ask("MATCH (a:PAGE)-[r:BEFORE]->(b:PAGE) RETURN a._key, b._key"), []string{"Carps Carps", "Carps Herons"})
}
