package e2e

import (
	"database/sql"
	"fmt"
	"path/filepath"
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
		"column renamed":       {"text: chunk.text", "texts: chunk.text"},
		"column taken away":    {"text: chunk.text, ", ""},
		"column's type":        {"parts: 'size(chunks)'", "parts: 'string(size(chunks))'"},
		"where":                {"for: chunk, key", `for: chunk, where: 'page.name != "lakes.md"', key`},
		"include":              {`["**/*.md"]`, `["*.md"]`},
		"table added":          {"tables:\n", "tables:\n  names: { columns: { name: page.name } }\n", "tables: [pages, chunks]", "tables: [pages, chunks, names]"},
		"node renamed":         {"  input:", "  asked:", "in: input", "in: asked"},
		"normaliser":           {"  input:", "  tidy:   { op: normalize.text, in: chunk.text }\n  input:", `"\n" + chunk.text`, `"\n" + tidy`},
		"formula reformatted":  {`parsed.title + "\n" + chunk.text`, `(parsed.title+"\n") +  chunk.text`},
		"nodes reordered":      {"nodes:\n", "nodes:\n  vector: { op: embed, in: input, model: lexical }\n", "  vector: { op: embed, in: input, model: lexical }\n", ""},
		"rate of a model":      {"provider: hash", "provider: hash, rate: 1000"},
		"target added":         {"targets:\n", "targets:\n  more: { sqlite: { path: more.db }, tables: [pages] }\n"},
		"two changes together": {"max_tokens: 32", "max_tokens: 16", "text: chunk.text", "text: chunk.text, title: parsed.title"},
	}
}

// unaffected are the changes that alter no row.
var unaffected = map[string]bool{"node renamed": true, "formula reformatted": true, "nodes reordered": true, "rate of a model": true, "target added": true}

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
			if unaffected[name] && report.Documents != 0 {
				t.Errorf("%d documents are evaluated again", report.Documents)
			}
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

// TestRunRunsWhatIsRecorded: `run` goes on with the revision in force whatever its file says, until `apply` makes the file the next one; an
// earlier revision that is applied again finds its results.
func TestRunRunsWhatIsRecorded(t *testing.T) {
	broker := testenv.SharedKafka(t)
	flow := strings.Replace(pageFlow, "flow: pages\nkafka: {", fmt.Sprintf("flow: %s\nkafka: { brokers: [%q],",
		strings.ReplaceAll(testenv.Name(t), "_", "-"), broker.Addr()), 1)
	p := newProject(t, flow).pages()
	p.command("apply", "--yes").complains(2, "has not run yet")
	p.runOnce()
	before := p.rows("chunks")

	changes := strings.NewReplacer("max_tokens: 32", "max_tokens: 16", "text: chunk.text", "text: chunk.text, title: parsed.title")
	p.write("flow.yaml", changes.Replace(flow))
	r := p.run("--once", "--json")
	if report := r.reports(0); report.Documents != 0 || !strings.Contains(r.stderr.String(), "freshet apply") {
		t.Errorf("a changed file that was not applied: %+v\n%s", report, r.stderr.String())
	}
	same(t, "chunks", p.rows("chunks"), before)
	asked := p.command("apply")
	if asked.exits(2); !strings.Contains(asked.stderr.String(), "node chunks changed") || !strings.Contains(asked.stderr.String(), "nothing was done") {
		t.Errorf("apply asked: %s", asked.stderr.String())
	}
	plan := p.plans()
	p.apply(2)
	p.apply(2)
	p.foretold(plan, p.runOnce())
	q := p.fresh()
	q.write("flow.yaml", changes.Replace(pageFlow))
	q.devOnce()
	for _, table := range tables {
		same(t, table, p.rows(table), q.rows(table))
	}
	if r := p.runOnce(); r.Documents != 0 {
		t.Errorf("once it was taken over, the flow is no longer a changed one: %+v", r)
	}

	p.command("apply", "--yes", "--revision=1").complains(2, "column:chunks.title", "apply -f flow.yaml --revision 1 --destroy column:chunks.title")
	p.apply(3, "--revision=1", "--destroy=column:chunks.title")
	if r := p.runOnce(); r.Documents != 3 || r.Nodes["vector"].Computed != 0 {
		t.Errorf("back at the first revision: %+v", r)
	}
	same(t, "chunks", p.rows("chunks"), before)
	p.command("apply", "--yes", "--revision=9").complains(2, "no record of revision 9")
	list := p.command("revisions")
	list.exits(0)
	if text := list.stdout.String(); !strings.Contains(text, "node chunks changed") || strings.Count(text, "logic") != 3 {
		t.Errorf("the list of revisions: %s", text)
	}
	if first := p.command("revisions", "1"); first.reads() != flow {
		t.Errorf("revision 1 is not the first flow file:\n%s", first.stdout.String())
	}
	p.targetIsDropped(flow)
}

// targetIsDropped: a target that was removed keeps its rows, until it is dropped by name, at whatever time.
func (p *project) targetIsDropped(flow string) {
	p.t.Helper()
	more := filepath.Join(p.dir, "more.db")
	p.write("flow.yaml", strings.Replace(flow, "targets:\n", "targets:\n  more: { sqlite: { path: more.db }, tables: [pages] }\n", 1))
	p.apply(4)
	p.runOnce()
	rows := sqliteRows(p.t, more, "pages")
	p.command("apply", "--yes", "--drop=target:more").complains(2, "has target more still")
	p.write("flow.yaml", flow)
	p.apply(5)
	p.runOnce()
	same(p.t, "pages of the target that was removed", sqliteRows(p.t, more, "pages"), rows)
	if len(rows) != 3 {
		p.t.Errorf("the target had %d rows", len(rows))
	}
	dropped := p.command("apply", "--yes", "--drop=target:more")
	if text := dropped.reads(); !strings.Contains(text, "revision 5 is in force already\ntarget:more is dropped") {
		p.t.Errorf("apply said: %s", text)
	}
	db := sql.OpenDB(readOnly{more})
	defer func() { _ = db.Close() }()
	var left int
	if err := db.QueryRowContext(p.t.Context(), `select (select count(*) from sqlite_schema where name like '%pages%') + (select count(*) from _freshet_tables) +
		(select count(*) from _freshet_offsets)`).Scan(&left); err != nil || left != 0 {
		p.t.Errorf("%d things of the dropped target are left (%v)", left, err)
	}
}

// TestTwoFlows: flows that share a cluster and a process do not see each other; one that is reset leaves the other as it is.
func TestTwoFlows(t *testing.T) {
	broker := testenv.SharedKafka(t)
	name := strings.ReplaceAll(testenv.Name(t), "_", "-")
	flow := func(of, db string) string {
		return strings.NewReplacer("flow: pages\nkafka: {", fmt.Sprintf("flow: %s-%s\nkafka: { brokers: [%q],", name, of, broker.Addr()), "out.db", db).Replace(pageFlow)
	}
	p := newProject(t, flow("a", "out.db")).pages()
	p.write("b.yaml", flow("b", "b.db"))
	both := p.run("b.yaml", "--once", "--json")
	if text := both.reads(); strings.Count(text, `"documents":3`) != 2 {
		t.Errorf("two flows report: %s", text)
	}
	rows := p.rows("chunks")
	same(t, "chunks of b", sqliteRows(t, filepath.Join(p.dir, "b.db"), "chunks"), rows)
	p.command("reset", "--yes").exits(0)
	if text := p.run("b.yaml", "--once", "--json").reads(); strings.Count(text, `"documents":3`) != 1 || strings.Count(text, `"documents":0`) != 1 {
		t.Errorf("after a reset of one they report: %s", text)
	}
	same(t, "chunks", p.rows("chunks"), rows)
	p.write("twin.yaml", flow("a", "twin.db"))
	p.run("twin.yaml").complains(2, "declare flow", "both")
	p.run("b.yaml", "--data-dir", "x").complains(2, "one flow's")
}

// apply makes the flow file, or what args say, the revision of this number.
func (p *project) apply(revision int64, args ...string) {
	p.t.Helper()
	c := p.command("apply", append(args, "--yes")...)
	if text := c.reads(); !strings.Contains(text, fmt.Sprintf("revision %d is in force", revision)) {
		p.t.Errorf("apply said: %s", text)
	}
}
