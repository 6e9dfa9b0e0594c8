package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/freshet-dev/freshet/internal/testenv"
)

// declarations are changes of pageFlow: what is replaced by what.
func declarations(m *modelServer) map[string][]string {
	stub := func(model string) string {
		return fmt.Sprintf("provider: openai, base_url: %q, model: %s, dimensions: %d", m.URL, model, dimensions)
	}
	return map[string][]string{
		"splitter setting":     {"max_tokens: 32", "max_tokens: 16"},
		"splitter":             {"op: split.markdown, in: parsed", "op: split.text, in: parsed.text"},
		"model's provider":     {"provider: hash", stub("one")},
		"formula":              {`parsed.title + "\n" + chunk.text`, `chunk.text + parsed.title`},
		"formula of a column":  {"title: parsed.title", `title: 'parsed.title.or("") + "!"'`},
		"key":                  {"key: chunk.id", "key: string(chunk.index)"},
		"column added":         {"text: chunk.text", "text: chunk.text, title: parsed.title"},
		"column taken away":    {"text: chunk.text, ", ""},
		"column's type":        {"parts: 'size(chunks)'", "parts: 'string(size(chunks))'"},
		"where":                {"for: chunk, key", `for: chunk, where: 'page.name != "lakes.md"', key`},
		"include":              {`["**/*.md"]`, `["*.md"]`},
		"table added":          {"tables:\n", "tables:\n  names: { columns: { name: page.name } }\n", "tables: [pages, chunks]", "tables: [pages, chunks, names]"},
		"node renamed":         {"  input:", "  asked:", "in: input", "in: asked"},
		"two changes together": {"max_tokens: 32", "max_tokens: 16", "text: chunk.text", "text: chunk.text, title: parsed.title"},
	}
}

// TestChangedDeclaration holds point 7: after any change of the flow file, `dev --once` makes the tables what a fresh
// directory gives, and does what `plan` said.
func TestChangedDeclaration(t *testing.T) {
	for name, change := range declarations(newModelServer(t)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProject(t, pageFlow).pages()
			p.devOnce()
			p.write("flow.yaml", strings.NewReplacer(change...).Replace(pageFlow))
			plan := p.plans()
			report := p.devOnce()
			if name != "include" { // which files leave shows when the folder is read
				p.foretold(plan, report)
			}
			all := tables
			if name == "table added" {
				all = append([]string{"names"}, tables...)
			}
			p.sameAsFresh(all...)
			if again := p.devOnce(); again.Documents != 0 || again.Tables["chunks"].Upserts != 0 {
				t.Errorf("the change was taken over twice: %+v", again)
			}
		})
	}
}

// TestChangedModel holds point 7 with a model server: another model embeds every input again.
func TestChangedModel(t *testing.T) {
	m := newModelServer(t)
	flow := func(model string) string {
		return strings.Replace(pageFlow, "provider: hash",
			fmt.Sprintf("provider: openai, base_url: %q, model: %s, dimensions: %d", m.URL, model, dimensions), 1)
	}
	p := newProject(t, flow("one")).pages()
	p.devOnce()
	inputs := len(m.taken())
	p.write("flow.yaml", flow("two"))
	p.devOnce()
	if n := len(m.taken()); n != inputs || n == 0 {
		t.Errorf("another model embedded %d inputs, want all %d", n, inputs)
	}
	p.sameAsFresh(tables...)
}

// TestEndPointChanges: what can't change a result computes nothing again.
func TestEndPointChanges(t *testing.T) {
	here, there := newModelServer(t), newModelServer(t)
	flow := func(m *modelServer, batch int) string {
		return strings.Replace(pageFlow, "provider: hash",
			fmt.Sprintf("provider: openai, base_url: %q, model: one, dimensions: %d, batch: %d", m.URL, dimensions, batch), 1)
	}
	p := newProject(t, flow(here, 3)).pages()
	p.devOnce()
	p.write("flow.yaml", flow(there, 5))
	if r := p.devOnce(); r.Documents != 0 || len(there.taken()) != 0 {
		t.Errorf("another end point: %+v", r)
	}
}

// TestRunRefusesChange holds point 7: `run` refuses a changed flow with exit code 2 and the names of what changed, unless
// it is told to evaluate again.
func TestRunRefusesChange(t *testing.T) {
	broker := testenv.SharedKafka(t)
	flow := strings.Replace(pageFlow, "flow: pages\nkafka: {", fmt.Sprintf("flow: %s\nkafka: { brokers: [%q],",
		strings.ReplaceAll(testenv.Name(t), "_", "-"), broker.Addr()), 1)
	p := newProject(t, flow).pages()
	p.runOnce()
	before := p.rows("chunks")

	changed := strings.NewReplacer("max_tokens: 32", "max_tokens: 16", "text: chunk.text", "text: chunk.text, title: parsed.title").Replace(flow)
	p.write("flow.yaml", changed)
	p.run("--once").complains(2, "chunks", "--reevaluate")
	same(t, "chunks", p.rows("chunks"), before)
	p.write("flow.yaml", strings.Replace(flow, `"\n" + chunk.text`, `chunk.text`, 1))
	p.run("--once").complains(2, "node input", "--reevaluate")

	p.write("flow.yaml", changed)
	p.runOnce("--reevaluate")
	q := p.fresh()
	q.write("flow.yaml", strings.NewReplacer("max_tokens: 32", "max_tokens: 16", "text: chunk.text", "text: chunk.text, title: parsed.title").Replace(pageFlow))
	q.devOnce()
	for _, table := range tables {
		same(t, table, p.rows(table), q.rows(table))
	}
	if r := p.runOnce(); r.Documents != 0 {
		t.Errorf("once it was taken over, the flow is no longer a changed one: %+v", r)
	}
}
