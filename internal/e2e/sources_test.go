package e2e

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/freshet-dev/freshet/internal/testenv"
	"github.com/freshet-dev/freshet/schemas/fixtures"
)

const deskFlow = `flow: desk
kafka: { partitions: 3 }
sources:
  page: { files: { root: ./docs/pages, include: ["**/*.md"] } }
  note: { files: { root: ./docs/notes } }
models: { lexical: { provider: hash } }
nodes:
  body:   { op: parse.markdown, in: page.content }
  text:   { op: expr, in_by_source: { page: body.text, note: note.content } }
  chunks: { op: split.text, in: text, max_tokens: 32, overlap: 0, each: chunk }
  vector: { op: embed, in: chunk.text, model: lexical }
tables:
  chunks: { for: chunk, key: chunk.id, columns: { text: chunk.text, embedding: vector } }
  pages:  { columns: { path: page.path, title: body.title } }
  notes:  { columns: { path: note.path } }
targets: { local: { sqlite: { path: out.db }, tables: [chunks, pages, notes] } }
`

var deskTables = []string{"chunks", "pages", "notes"}

// TestSeveralSources: two directories in one flow, read through the intake of `freshet dev`. Whatever changes, the tables
// are those of a fresh directory; what would need other offsets or IDs is refused until a reset.
func TestSeveralSources(t *testing.T) {
	t.Parallel()
	p := newProject(t, deskFlow)
	p.write("docs/pages/rivers.md", "# Rivers\n\nRivers rise.\n")
	p.write("docs/pages/lakes.md", "# Lakes\n\nLakes lie.\n")
	p.write("docs/notes/rivers.md", "A note on rivers.\n")
	r := p.devOnce()
	if r.Documents != 3 || r.Tables["pages"].Rows != 2 || r.Tables["notes"].Rows != 1 || r.Tables["chunks"].Rows != 3 || r.Nodes["body"].Computed != 2 {
		t.Errorf("the first run: %+v", r)
	}
	for document, nodes := range map[string]string{"page/rivers.md": "body text chunks vector", "note/rivers.md": "text chunks vector"} {
		if got := p.lineage("chunks", document); got != nodes {
			t.Errorf("the row of %s came by %s, want %s", document, got, nodes)
		}
	}
	holds(t, p.rows("chunks"), "_document=page/rivers.md", "Rivers rise.")
	holds(t, p.rows("chunks"), "_document=note/rivers.md", "A note on rivers.")

	p.write("docs/notes/rivers.md", "Another note on rivers.\n")
	p.write("docs/notes/lakes.md", "A note on lakes.\n")
	p.remove("docs/pages/lakes.md")
	if r := p.devOnce(); r.Documents != 2 || r.Deleted != 1 || r.Nodes["body"].Computed != 0 {
		t.Errorf("after edits: %+v", r)
	}
	if r := p.devOnce(); r.Documents+r.Noop != 0 {
		t.Errorf("nothing changed, but: %+v", r)
	}
	for _, change := range [][]string{ // a branch; a source that goes, and one that comes
		{"note: note.content", "note: 'note.path + note.content'"},
		{"  note: { files: { root: ./docs/notes } }\n", "", ", note: 'note.path + note.content'", "", "  notes:  { columns: { path: note.path } }\n", "", ", notes]", "]",
			"sources:\n", "sources:\n  other: { files: { root: ./docs/pages } }\n", "page: body.text", "page: body.text, other: other.name"},
	} {
		p.rewrite(change...)
		p.devOnce()
		p.sameAsFresh("chunks", "pages")
	}

	p.write("flow.yaml", strings.NewReplacer("  note: { files: { root: ./docs/notes } }\n", "", ", note: note.content", "",
		"  notes:  { columns: { path: note.path } }\n", "", ", notes]", "]").Replace(deskFlow))
	p.dev("--once").complains(2, "has read topic desk.intake", "freshet reset")
	start(t, p.dir, p.env, "reset", "-f", "flow.yaml", "--yes").exits(0)
	p.devOnce()
	p.write("flow.yaml", deskFlow)
	p.dev("--once").complains(2, "has read topic desk.files.page", "freshet reset")
	start(t, p.dir, p.env, "reset", "-f", "flow.yaml", "--yes").exits(0)
	p.devOnce()
	p.sameAsFresh(deskTables...)
}

// lineage names the nodes that a document's row in a table came by.
func (p *project) lineage(table, document string) string {
	p.t.Helper()
	db := sql.OpenDB(readOnly{filepath.Join(p.dir, "out.db")})
	defer func() { _ = db.Close() }()
	var raw string
	if err := db.QueryRowContext(p.t.Context(), `select _lineage from "`+table+`" where _document = ?`, document).Scan(&raw); err != nil {
		p.t.Fatal(err)
	}
	var l struct{ Nodes []struct{ Node string } }
	if err := json.Unmarshal([]byte(raw), &l); err != nil {
		p.t.Fatal(err)
	}
	var names []string
	for _, n := range l.Nodes {
		names = append(names, n.Node)
	}
	return strings.Join(names, " ")
}

// rewrite changes the flow file.
func (p *project) rewrite(change ...string) {
	p.t.Helper()
	p.flow = strings.NewReplacer(change...).Replace(p.flow)
	p.write("flow.yaml", p.flow)
}

// recordedPair are two recorded tables as the sources of one flow, each with an ID formula.
var recordedPair = []struct {
	source, topic, id string
	document          func(key map[string]json.RawMessage) string
}{
	{"doc", "public.documents", "record.key.id", func(key map[string]json.RawMessage) string {
		return "doc/" + strings.Trim(string(key["id"]), `"`)
	}},
	{"line", "public.order_lines", `string(record.key.order_id) + "/" + string(record.key.line_no)`, func(key map[string]json.RawMessage) string {
		return fmt.Sprintf("line/%s/%s", key["order_id"], key["line_no"])
	}},
}

// TestRecordedTables: two tables of a real connector through one flow with ID formulas, the stages in processes of their
// own; the rows are those of an independent model, and so are the documents' IDs.
func TestRecordedTables(t *testing.T) {
	for _, variant := range []string{"schemas-false", "schemas-true"} {
		t.Run(variant, func(t *testing.T) {
			t.Parallel()
			broker, db := testenv.SharedKafka(t), testenv.SharedPostgres(t).NewDatabase(t)
			name := strings.ReplaceAll(testenv.Name(t), "_", "-")
			records := pairOf(t, variant)
			sources := ""
			for _, s := range recordedPair {
				in := newTopic(t, broker, name+"."+s.source, 1)
				in.produce(verbatim(records[s.source])...)
				var fields []string
				for _, col := range recordedTopics[s.topic].columns {
					fields = append(fields, fmt.Sprintf("%s: '%s'", col.name, col.kind))
				}
				sources += fmt.Sprintf("  %s:\n    debezium: { topic: %q, decimals: precise }\n    id: '%s'\n    fields: { %s }\n",
					s.source, in.name, s.id, strings.Join(fields, ", "))
			}
			sources += "  file: { files: { root: ./docs } }\n"
			p := newProject(t, pairFlow(name, broker.Addr(), sources))
			p.write("docs/a.md", "# A\n")
			p.env = []string{"E2E_URL=" + db.URL}
			intake, rest := p.run("--role", "intake"), p.run("--role", "watch,process,sinks", "--replica", "1")
			want := 1
			for _, s := range recordedPair {
				want += len(modelOf(t, records[s.source]).Rows)
			}
			rest.until("all documents are there", func(ctx context.Context) bool { return len(documentsIn(ctx, db.URL)) == want })
			intake.stop()
			rest.stop()
			if r := p.runOnce(); r.Documents != 0 || r.Quarantined != 0 {
				t.Errorf("everything was taken in, but: %+v", r)
			}
			ids := []string{"file/a.md"}
			for _, s := range recordedPair {
				c := recordedTopics[s.topic]
				c.compareTable(t, db, records[s.source], "e2e."+s.source)
				for key := range modelOf(t, records[s.source]).Rows {
					var columns map[string]json.RawMessage
					if err := json.Unmarshal([]byte(key), &columns); err != nil {
						t.Fatal(err)
					}
					ids = append(ids, s.document(columns))
				}
			}
			slices.Sort(ids)
			same(t, "documents", documentsIn(t.Context(), db.URL), ids)
		})
	}
}

func pairFlow(name, addr, sources string) string {
	tables := ""
	for _, s := range recordedPair {
		var columns []string
		for _, col := range recordedTopics[s.topic].columns {
			columns = append(columns, fmt.Sprintf("%s: %s.%s", col.name, s.source, col.name))
		}
		tables += fmt.Sprintf("  %s: { columns: { %s } }\n", s.source, strings.Join(columns, ", "))
	}
	return fmt.Sprintf(`flow: %s
kafka: { brokers: ["%s"], partitions: 3 }
sources:
%snodes:
  label: { op: expr, in_by_source: { doc: doc.title, line: line.sku, file: file.path } }
tables:
%s  labels: { columns: { label: label } }
targets:
  db: { postgres: { url: "env:E2E_URL", schema: e2e }, tables: [doc, line, labels] }
`, name, addr, sources, tables)
}

// pairOf are the records of the pair, by source, before any truncate.
func pairOf(t *testing.T, variant string) map[string][]fixtures.Record {
	t.Helper()
	topics, err := fixtures.Read(recordings + variant)
	if err != nil {
		t.Fatal(err)
	}
	records := map[string][]fixtures.Record{}
	for _, topic := range topics {
		for _, s := range recordedPair {
			if _, name, _ := strings.Cut(topic.Name, "."); name == s.topic {
				records[s.source] = topic.Records[:untilTruncate(topic.Records)]
			}
		}
	}
	return records
}

func modelOf(t *testing.T, records []fixtures.Record) fixtures.Table {
	t.Helper()
	model, err := fixtures.Model(records)
	if err != nil {
		t.Fatal(err)
	}
	if len(model.Rows) == 0 {
		t.Fatal("the model has no rows: the comparison says nothing")
	}
	return model
}

// documentsIn are the documents of the table that both sources have rows in, sorted; none while it can't be read.
func documentsIn(ctx context.Context, url string) []string {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return nil
	}
	defer func() { _ = conn.Close(ctx) }()
	rows, err := conn.Query(ctx, `select _document from e2e.labels`)
	if err != nil {
		return nil
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil
	}
	slices.Sort(ids)
	return ids
}
