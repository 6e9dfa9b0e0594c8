package e2e

import (
	"encoding/json"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// pageFlow indexes the pages below docs into SQLite, with no service.
const pageFlow = `flow: pages
kafka: { partitions: 3 }
sources:
  page: { files: { root: docs, include: ["**/*.md"], max_bytes: 4096 } }
models: { lexical: { provider: hash } }
nodes:
  parsed: { op: parse.markdown, in: page.content }
  chunks: { op: split.markdown, in: parsed, max_tokens: 32, each: chunk }
  input:  { op: expr, in: 'parsed.title + "\n" + chunk.text' }
  vector: { op: embed, in: input, model: lexical }
tables:
  pages:  { columns: { path: page.path, title: parsed.title, parts: 'size(chunks)' } }
  chunks: { for: chunk, key: chunk.id, columns: { path: page.path, text: chunk.text, vector: vector } }
targets:
  local: { sqlite: { path: out.db }, tables: [pages, chunks] }
`

// tables of pageFlow.
var tables = []string{"pages", "chunks"}

// pages writes a few pages with sections.
func (p *project) pages() *project {
	p.t.Helper()
	p.write("docs/rivers.md", "# Rivers\n\nRivers rise in the hills.\n\n## Bends\n\nA bend is where the water takes its time.\n")
	p.write("docs/lakes.md", "---\ntags: [still]\n---\n# Lakes\n\nLakes keep what they are given.\n\n## Depth\n\nNobody knows.\n")
	p.write("docs/sea/salt.md", "# Salt\n\nThe sea is salt.\n\n## Why\n\nBecause the rivers bring it.\n\n## How much\n\nA lot.\n")
	return p
}

// sameAsFresh compares all tables with those of a project that begins with the same files and flow.
func (p *project) sameAsFresh(tables ...string) {
	p.t.Helper()
	q := p.fresh()
	q.devOnce()
	for _, table := range tables {
		want := q.rows(table)
		if len(want) == 0 {
			p.t.Errorf("%s is empty: the comparison says nothing", table)
		}
		same(p.t, table, p.rows(table), want)
	}
}

// TestReport: `dev --once --json` prints one object with exactly the documented keys.
func TestReport(t *testing.T) {
	p := newProject(t, pageFlow).pages()
	d := p.dev("--once", "--json")
	first := d.reports(0)

	var object map[string]json.RawMessage
	if err := json.Unmarshal(d.stdout.Bytes(), &object); err != nil {
		t.Fatal(err)
	}
	keys := func(m map[string]json.RawMessage) string { return strings.Join(slices.Sorted(maps.Keys(m)), " ") }
	if got, want := keys(object), "deleted documents nodes noop quarantined seconds tables targets"; got != want {
		t.Errorf("keys %s, want %s", got, want)
	}
	for part, want := range map[string]map[string]string{
		"nodes":   {"parsed": "computed reused", "chunks": "computed reused", "input": "computed reused", "vector": "computed reused"},
		"tables":  {"pages": "deletes rows upserts", "chunks": "deletes rows upserts"},
		"targets": {"local": "lag"},
	} {
		var entries map[string]map[string]json.RawMessage
		if err := json.Unmarshal(object[part], &entries); err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for name, entry := range entries {
			got[name] = keys(entry)
		}
		if !maps.Equal(got, want) {
			t.Errorf("%s: %v, want %v", part, got, want)
		}
	}
	if first.Documents != 3 || first.Nodes["vector"].Computed != 7 || first.Tables["chunks"].Upserts != 7 || first.Tables["pages"].Rows != 3 ||
		first.Seconds <= 0 || first.Targets["local"].Lag != 0 {
		t.Errorf("the first run: %+v", first)
	}
}

// TestSecondRun: what was done is not done again; what changed meanwhile is done once.
func TestSecondRun(t *testing.T) {
	p := newProject(t, pageFlow).pages()
	p.devOnce()
	again := p.devOnce()
	if again.Documents != 0 || again.Noop != 0 || again.Nodes["vector"].Computed != 0 || again.Tables["chunks"].Upserts != 0 ||
		again.Tables["chunks"].Rows != 7 || again.Tables["pages"].Rows != 3 {
		t.Errorf("a run with nothing to do: %+v", again)
	}

	p.write("docs/rivers.md", "# Rivers\n\nRivers rise in the hills.\n\n## Bends\n\nA bend is where the water turns.\n")
	p.remove("docs/lakes.md")
	edited := p.devOnce()
	if edited.Documents != 1 || edited.Deleted != 1 || edited.Nodes["vector"].Computed != 1 || edited.Nodes["vector"].Reused != 1 ||
		edited.Tables["chunks"].Upserts != 1 || edited.Tables["chunks"].Deletes != 3 || edited.Tables["chunks"].Rows != 5 {
		t.Errorf("after an edit and a removal: %+v", edited)
	}
	p.sameAsFresh(tables...)
}

// TestNoopAfterLostIndex: a watcher without its index sends every file again, which changes nothing.
func TestNoopAfterLostIndex(t *testing.T) {
	p := newProject(t, pageFlow).pages()
	p.devOnce()
	indexes, err := filepath.Glob(filepath.Join(p.dir, ".freshet/pages/watch-*"))
	if err != nil || len(indexes) == 0 {
		t.Fatalf("no index of the watcher: %v", err)
	}
	for _, path := range indexes {
		rel, err := filepath.Rel(p.dir, path)
		if err != nil {
			t.Fatal(err)
		}
		p.remove(rel)
	}
	r := p.devOnce()
	if r.Noop != 3 || r.Documents != 0 || r.Tables["chunks"].Upserts != 0 {
		t.Errorf("every file sent again: %+v", r)
	}
	p.sameAsFresh(tables...)
}

// TestQuarantine: a document that can't be processed keeps its last good rows, the others go on, the exit code is 3, and
// a newer change revives it.
func TestQuarantine(t *testing.T) {
	const broken = "---\ntitle: [unclosed\n---\n# Rivers\n"
	for name, content := range map[string]string{
		"broken front matter": broken,
		"no UTF-8":            "# Rivers \xff\xfe\n",
		"too large":           "# Rivers\n\n" + strings.Repeat("The river is long. ", 400),
	} {
		t.Run(name, func(t *testing.T) {
			p := newProject(t, pageFlow).pages()
			p.devOnce()
			before := p.rows("chunks")
			p.write("docs/rivers.md", content)
			r := p.dev("--once", "--json").reports(3)
			if r.Quarantined != 1 || r.Tables["chunks"].Rows != 7 {
				t.Errorf("with a document that can't be processed: %+v", r)
			}
			same(t, "chunks", p.rows("chunks"), before)
			if r := p.dev("--once", "--json").reports(3); r.Quarantined != 1 {
				t.Errorf("it stays quarantined: %+v", r)
			}
			p.write("docs/rivers.md", "# Rivers\n\nThey flow again.\n")
			if r := p.devOnce(); r.Quarantined != 0 || r.Documents != 1 {
				t.Errorf("after a newer change: %+v", r)
			}
			holds(t, p.rows("chunks"), "They flow again.")
			p.sameAsFresh(tables...)
		})
	}
}
