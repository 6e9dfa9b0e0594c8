package flow

import (
	"slices"
	"strings"
	"testing"

	"github.com/freshet-dev/freshet/stream"
)

func several(t *testing.T, change ...string) *Flow {
	t.Helper()
	src := `flow: desk
sources:
  page: { files: { root: . } }
  ticket:
    debezium: { topic: shop.tickets }
    id: 'record.key.tenant + "-" + string(record.key.id)'
    fields: { id: int, subject: string, note: 'string?', open: bool }
    where: ticket.open
  person: { debezium: { topic: shop.people }, fields: { name: string } }
models: { m: { provider: hash } }
nodes:
  body:   { op: parse.markdown, in: page.content }
  text:   { op: expr, in_by_source: { page: body.text, ticket: ticket.subject, person: null } }
  chunks: { op: split.markdown, in: text, each: chunk, max_tokens: 5 }
  vector: { op: embed, in: chunk.text, model: m }
tables:
  chunks: { for: chunk, key: chunk.id, columns: { text: chunk.text, v: vector } }
  pages:  { where: page.size > 0, columns: { path: page.path, text: text } }
  people: { columns: { name: person.name } }
  seen:   { columns: { key: record.key } }
targets: { local: { sqlite: { path: x.db }, tables: [chunks] } }
`
	return mustParse(t, strings.NewReplacer(change...).Replace(src))
}

func document(source, name string, fields ...stream.Entry) stream.Document {
	fields = append(fields, pair("record", stream.MapOf(pair("key", stream.StringOf("k")))))
	return stream.Document{ID: source + "/" + name, Source: source, Input: stream.MapOf(fields...)}
}

func ticketOf(subject string, open bool) stream.Document {
	return document("ticket", "a-1", pair("id", stream.IntOf(1)), pair("subject", stream.StringOf(subject)), pair("open", stream.BoolOf(open)))
}

// TestDocumentsRunWhatTheirSourceReads: nodes and tables of other sources stay untouched.
func TestDocumentsRunWhatTheirSourceReads(t *testing.T) {
	f := several(t)
	about := page("a.md", "# One\nwords")
	about.Input = stream.MapOf(append(about.Input.Entries(), pair("record", stream.MapOf(pair("key", stream.StringOf("k")))))...)
	for _, c := range []struct {
		d      stream.Document
		tables []string
		calls  []string
	}{
		{about, []string{"chunks", "pages", "seen"}, []string{"body", "chunks", "vector"}},
		{ticketOf("subject", true), []string{"chunks", "seen"}, []string{"chunks", "vector"}},
		{ticketOf("subject", false), nil, nil},
		{document("person", "1", pair("name", stream.StringOf("n"))), []string{"people", "seen"}, nil},
		{document("gone", "1"), nil, nil},
	} {
		calls := newCounted()
		var tables, called []string
		for _, r := range mustEvaluate(t, f, c.d, calls) {
			tables = append(tables, r.Table)
		}
		for node, n := range calls.inputs {
			if n > 0 {
				called = append(called, node)
			}
		}
		slices.Sort(called)
		if !slices.Equal(slices.Compact(tables), c.tables) || !slices.Equal(called, c.calls) {
			t.Errorf("%s: rows of %v by %v, want %v by %v", c.d.ID, tables, called, c.tables, c.calls)
		}
	}
	trace, err := f.Program.Trace(t.Context(), ticketOf("subject", true), newCounted())
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range trace.Nodes {
		if n.Ran != (n.Node != "body") {
			t.Errorf("node %s ran: %t", n.Node, n.Ran)
		}
	}
}

// TestLineageOfSources: a row names the nodes that ran for it.
func TestLineageOfSources(t *testing.T) {
	f := several(t)
	for source, want := range map[string]string{"page": "body text chunks vector", "ticket": "text chunks vector", "gone": ""} {
		var nodes []string
		for _, n := range f.Program.SourceLineage("chunks", source) {
			nodes = append(nodes, n.Node)
		}
		if got := strings.Join(nodes, " "); got != want {
			t.Errorf("%s: %s, want %s", source, got, want)
		}
	}
}

func TestReadSetsAreOfTheSource(t *testing.T) {
	f := several(t)
	base := f.Program.ReadSet(ticketOf("a", true))
	more := ticketOf("a", true)
	more.Input = stream.MapOf(append(more.Input.Entries(), pair("note", stream.StringOf("unread")), pair("content", stream.StringOf("a page's")))...)
	if f.Program.ReadSet(more) != base {
		t.Error("fields that only formulas of other sources read count")
	}
	if f.Program.ReadSet(ticketOf("b", true)) == base || f.Program.ReadSet(ticketOf("a", false)) == base {
		t.Error("a field that is read does not count")
	}
}

func TestIDFormula(t *testing.T) {
	f := several(t)
	if !f.Intake() {
		t.Error("the flow reads directly")
	}
	id := f.Sources[1].ID
	for _, c := range []struct {
		key  stream.Value
		want string
		fail bool
	}{
		{stream.MapOf(pair("tenant", stream.StringOf("a")), pair("id", stream.IntOf(7))), "a-7", false},
		{stream.MapOf(pair("id", stream.IntOf(7))), "", true},
		{stream.StringOf("text"), "", true},
	} {
		got, err := id(c.key)
		if got != c.want || (err != nil) != c.fail || err != nil && stream.KindOf(err) != stream.Invalid {
			t.Errorf("%v: %q, %v", c.key, got, err)
		}
	}
	for formula, want := range map[string]string{"record.key": "text", "record.key.or(null)": "text", "size(record.key)": "4"} {
		f := several(t, `'record.key.tenant + "-" + string(record.key.id)'`, formula)
		if got, err := f.Sources[1].ID(stream.StringOf("text")); got != want || err != nil {
			t.Errorf("%s: %q, %v", formula, got, err)
		}
	}
}

// TestSourcesAreDeclared: a change of one source, or of one branch, is named; a changed ID formula is told apart.
func TestSourcesAreDeclared(t *testing.T) {
	old := several(t).Declaration()
	for name, c := range map[string]struct {
		change  []string
		changed []string
		renamed []string
	}{
		"nothing":  {nil, nil, nil},
		"renamed":  {[]string{"chunk.", "piece.", "each: chunk", "each: piece", "for: chunk", "for: piece"}, nil, nil},
		"where":    {[]string{"where: ticket.open", "where: '!ticket.open'"}, []string{"source ticket changed"}, nil},
		"ID":       {[]string{`"-"`, `":"`}, []string{"source ticket changed"}, []string{"ticket"}},
		"branch":   {[]string{"ticket: ticket.subject", "ticket: ticket.note"}, []string{"node text changed"}, nil},
		"removed":  {[]string{"  person: { debezium: { topic: shop.people }, fields: { name: string } }\n", "", ", person: null", "", "  people: { columns: { name: person.name } }\n", ""}, []string{"source person removed", "table people removed"}, nil},
		"reformat": {[]string{"page: body.text, ticket: ticket.subject", "ticket: ' ticket.subject ', page: body.text"}, nil, nil},
	} {
		now := several(t, c.change...).Declaration()
		changed, renamed := now.Changed(old), now.Renamed(old)
		if strings.Join(changed, ", ") != strings.Join(c.changed, ", ") || !slices.Equal(renamed, c.renamed) {
			t.Errorf("%s: changed %q, renamed %q, want %q, %q", name, changed, renamed, c.changed, c.renamed)
		}
	}
}

// TestTablesOfSources: a flow without nodes keeps to the same.
func TestTablesOfSources(t *testing.T) {
	f := mustParse(t, `flow: desk
sources:
  page: { files: { root: . }, where: page.size > 0 }
  person: { debezium: { topic: shop.people }, fields: { name: string } }
tables:
  pages:  { columns: { path: page.path } }
  people: { where: 'person.name != ""', columns: { name: person.name } }
  seen:   { columns: { key: record.key } }
`)
	for _, c := range []struct {
		d    stream.Document
		want string
	}{
		{page("a.md", "words"), "pages seen"},
		{page("a.md", ""), ""},
		{document("person", "1", pair("name", stream.StringOf("n"))), "people seen"},
		{document("gone", "1"), ""},
	} {
		var tables []string
		for _, r := range mustEvaluate(t, f, c.d, newCounted()) {
			tables = append(tables, r.Table)
		}
		if got := strings.Join(tables, " "); got != c.want {
			t.Errorf("%s: rows of %q, want %q", c.d.ID, got, c.want)
		}
	}
}

// TestSearchThroughBranches: a column of vectors that a node takes from several sources is found.
func TestSearchThroughBranches(t *testing.T) {
	f := several(t, "vector: { op: embed, in: chunk.text, model: m }", "a: { op: embed, in: chunk.text, model: m }\n  vector: { op: expr, in_by_source: { page: a, ticket: a, person: null } }")
	if column, node, err := f.Program.SearchColumn("chunks", ""); err != nil || column != "v" || node.Name != "a" {
		t.Errorf("%s %v %v", column, node, err)
	}
}
