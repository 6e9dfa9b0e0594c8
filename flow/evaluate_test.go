package flow

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/freshet-dev/freshet/stream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func mustParse(t *testing.T, src string) *Flow {
	t.Helper()
	f, err := Parse("flow.yaml", []byte(src), testRegistry())
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func mustEvaluate(t *testing.T, f *Flow, d stream.Document, calls stream.Calls) []stream.Row {
	t.Helper()
	rows, err := f.Program.Evaluate(context.Background(), d, calls)
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// printed renders rows for comparison: table, key, columns.
func printed(rows []stream.Row) string {
	var b strings.Builder
	for _, r := range rows {
		fmt.Fprintf(&b, "%s %q %v\n", r.Table, r.Key, r.Columns)
	}
	return b.String()
}

func lines(l ...string) string { return strings.Join(l, "\n") + "\n" }

// simple is a flow over files with these nodes and tables.
func simple(nodes, tables string) string {
	return "flow: simple\nsources: { page: { files: { root: . } } }\nmodels: { m: { provider: hash } }\nnodes:\n" + nodes +
		"  used: { op: embed, in: page.path, model: m }\ntables:\n  used: { columns: { v: used } }\n" + tables
}

func TestNestedElementsMakeRows(t *testing.T) {
	f, err := parseFile(t, "testdata/flows-a.good.yaml")
	if err != nil {
		t.Fatal(err)
	}
	calls := newCounted()
	rows := mustEvaluate(t, f, page("a.md", "# One\nfirst\n\nsecond\n# Two\nthird\n"), calls)
	var got []string
	for _, r := range rows {
		got = append(got, r.Columns[1].Str()+"/"+strings.TrimSpace(r.Columns[2].Str()))
	}
	slices.Sort(got)
	if want := []string{"One/first", "One/second", "Two/third"}; !slices.Equal(got, want) {
		t.Errorf("rows %q, want %q", got, want)
	}
	if calls.calls["vector"] != 1 || calls.inputs["vector"] != 3 {
		t.Errorf("embed was called %d times with %d inputs, want once with 3", calls.calls["vector"], calls.inputs["vector"])
	}
	if calls.computed["input"] != 3 {
		t.Errorf("input was computed %d times, want 3", calls.computed["input"])
	}
	if !slices.IsSortedFunc(rows, func(a, b stream.Row) int { return strings.Compare(a.Key, b.Key) }) {
		t.Error("rows are not sorted by key")
	}
}

func TestEqualElementsOfSeveralListsHaveTheirOwnIDs(t *testing.T) {
	f, err := parseFile(t, "testdata/flows-a.good.yaml")
	if err != nil {
		t.Fatal(err)
	}
	rows := mustEvaluate(t, f, page("a.md", "# One\nsame\n\nsame\n# Two\nsame\n\nsame\n"), newCounted())
	if len(rows) != 4 {
		t.Errorf("%d rows, want 4:\n%s", len(rows), printed(rows))
	}
}

func TestRouting(t *testing.T) {
	f, err := parseFile(t, "testdata/flows-f.good.yaml")
	if err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name, head      string
		german, english int
		rows            int
	}{
		{"german", "lang: de\ntenant: acme\n---\n", 2, 0, 2},
		{"english by default", "tenant: other\n---\n", 0, 2, 2},
		{"a draft computes nothing", "draft: true\n---\n", 0, 0, 0},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			calls := newCounted()
			rows := mustEvaluate(t, f, page("a.md", c.head+"one\n\ntwo"), calls)
			if len(rows) != c.rows || calls.inputs["v_de"] != c.german || calls.inputs["v_en"] != c.english {
				t.Errorf("%d rows, %d German, %d English; want %d, %d, %d", len(rows), calls.inputs["v_de"], calls.inputs["v_en"],
					c.rows, c.german, c.english)
			}
			for _, r := range rows {
				keep, err := f.Targets[0].Where["chunks"](r.Columns)
				if err != nil || keep != (r.Columns[1].Str() == "acme") {
					t.Errorf("target keeps %v: %v, %v", r.Columns[1], keep, err)
				}
			}
		})
	}
}

func TestNullsAndConditions(t *testing.T) {
	f := mustParse(t, simple(lines(
		`  body: { op: parse.markdown, in: page.content }`,
		`  tag:  { op: expr, in: body.meta.tag }`,
		`  sure: { op: expr, in: tag.or("none"), when: page.size > 3 }`,
		`  list: { op: expr, in: 'tag == "list" ? ["b", "a"] : null', each: part }`), lines(
		`  pages: { columns: { tag: tag, sure: sure } }`,
		`  parts: { for: part, key: part, columns: { p: part } }`)))
	cases := []struct{ content, want string }{
		{"tag: list\n---\n", "pages \"\" [\"list\" \"list\"]\nparts \"a\" [\"a\"]\nparts \"b\" [\"b\"]\n"},
		{"long", "pages \"\" [\"none\" null]\n"},
		{"x", "pages \"\" [null null]\n"},
	}
	for _, c := range cases {
		rows := mustEvaluate(t, f, page("p", c.content), newCounted())
		got := printed(slices.DeleteFunc(rows, func(r stream.Row) bool { return r.Table == "used" }))
		if got != c.want {
			t.Errorf("%q: got\n%swant\n%s", c.content, got, c.want)
		}
	}
	null := page("p", "")
	null.Input = stream.MapOf(pair("path", stream.StringOf("p")), pair("size", stream.IntOf(1)))
	calls := newCounted()
	mustEvaluate(t, f, null, calls)
	if calls.calls["body"] != 0 {
		t.Error("an operator was called for null")
	}
}

func TestSourceCondition(t *testing.T) {
	f, err := parseFile(t, "testdata/handbook.good.yaml")
	if err != nil {
		t.Fatal(err)
	}
	calls := newCounted()
	if rows := mustEvaluate(t, f, page("private/a", "text"), calls); len(rows) != 0 || len(calls.calls) != 0 {
		t.Errorf("%d rows, calls %v", len(rows), calls.calls)
	}
	if rows := mustEvaluate(t, f, page("public/a", "text"), calls); len(rows) != 1 {
		t.Errorf("%d rows, want 1", len(rows))
	}
}

// TestSharedRows: rows of one document with one key are one in a table that documents share, by its rules, in order of the elements.
func TestSharedRows(t *testing.T) {
	text := simple(lines(`  words: { op: expr, in: '["b bee", "a ant", "b", "a ape", "c", "b by"]', each: word }`),
		lines(`  words: { for: word, key: 'word.substring(0, 1)', shared: { long: longest, most: max }, columns: { one: word, long: word, most: word } }`))
	f := mustParse(t, text)
	got := printed(slices.DeleteFunc(mustEvaluate(t, f, page("p", ""), newCounted()), func(r stream.Row) bool { return r.Table == "used" }))
	want := "words \"a\" [\"a ant\" \"a ape\" \"a ant\"]\nwords \"b\" [\"b bee\" \"b by\" \"b bee\"]\nwords \"c\" [\"c\" \"c\" \"c\"]\n"
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if other := mustParse(t, strings.Replace(text, "long: longest", "long: max", 1)); other.Program.Logic() == f.Program.Logic() {
		t.Error("another rule gives other rows, but counts as the same logic")
	}
}

func TestFailures(t *testing.T) {
	f := mustParse(t, simple(lines(
		`  chunks: { op: split.markdown, in: page.content, each: chunk }`,
		`  number: { op: expr, in: int(page.ext), when: 'page.path == "number"' }`), lines(
		`  chunks: { for: chunk, key: 'page.path == "null" ? null : page.path == "twice" ? "k" : chunk.id', columns: { n: number } }`)))
	cases := []struct {
		path string
		want []string
	}{
		{"number", []string{"node number", "flow.yaml:6:30", "document page/number"}},
		{"twice", []string{"table chunks", `key "k" comes twice`}},
		{"null", []string{"`key` of table chunks", "must be a string or an int, not null"}},
	}
	for _, c := range cases {
		_, err := f.Program.Evaluate(context.Background(), page(c.path, "one\n\ntwo"), newCounted())
		var e *stream.Error
		if !errors.As(err, &e) || e.Kind != stream.Invalid || e.Doc != "page/"+c.path {
			t.Errorf("%s: %v is not an Invalid error of the document", c.path, err)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q lacks %q", c.path, err, want)
			}
		}
	}
}

func TestOperatorFailuresKeepTheirClass(t *testing.T) {
	f := mustParse(t, simple("", ""))
	calls := newCounted()
	throttled := stream.Errorf(stream.Throttled, "embed", "429")
	throttled.RetryAfter = 7
	calls.fail["used"] = throttled
	_, err := f.Program.Evaluate(context.Background(), page("a", "x"), calls)
	var e *stream.Error
	if !errors.As(err, &e) || e.Kind != stream.Throttled || e.RetryAfter != 7 || !strings.Contains(e.Error(), "node used") {
		t.Errorf("got %#v", err)
	}
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err = f.Program.Evaluate(cancelled, page("a", "x"), newCounted()); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestMapIterationIsRepeatable(t *testing.T) {
	f := mustParse(t, simple(lines(
		`  body: { op: parse.markdown, in: page.content }`,
		`  keys: { op: expr, in: 'body.meta.map(k, k + "=" + string(body.meta[k]))', each: k }`), lines(
		`  pages: { columns: { all: 'body.meta.map(k, k).join(",")', made: '{"z": 1, "a": 2}.map(k, k).join(",")' } }`,
		`  keys:  { for: k, key: k, columns: { k: k } }`)))
	content := "c: 3\nz: 1\na: 2\nm: 5\nb: 4\n---\n"
	var first string
	for range 100 {
		rows := mustEvaluate(t, f, page("p", content), newCounted())
		var b []byte
		for _, r := range rows {
			b = stream.AppendValue(append(b, r.Table+r.Key...), stream.ListOf(r.Columns...))
		}
		if first == "" {
			first = string(b)
		}
		if string(b) != first {
			t.Fatal("rows differ between evaluations")
		}
	}
	if !strings.Contains(first, "a,b,c,m,z") {
		t.Errorf("keys are out of order: %q", first)
	}
}

func TestReadSet(t *testing.T) {
	f, err := parseFile(t, "testdata/debezium.good.yaml")
	if err != nil {
		t.Fatal(err)
	}
	document := func(extra ...stream.Entry) stream.Document {
		base := []stream.Entry{pair("sku", stream.StringOf("s")), pair("name", stream.StringOf("n")),
			pair("record", stream.MapOf(pair("key", stream.StringOf("k"))))}
		return stream.Document{ID: "product/1", Source: "product", Input: stream.MapOf(append(base, extra...)...)}
	}
	base := f.Program.ReadSet(document())
	if base != f.Program.ReadSet(document(pair("unread", stream.IntOf(1)))) {
		t.Error("a field that no formula reads changes the read set")
	}
	if base == f.Program.ReadSet(document(pair("name", stream.StringOf("other")))) {
		t.Error("a field that is read doesn't change the read set")
	}
	if !f.Program.ReadsRecord() || base == f.Program.ReadSet(document(pair("record", stream.MapOf()))) {
		t.Error("the record's metadata is not read")
	}
}

func TestLineage(t *testing.T) {
	f, err := parseFile(t, "testdata/handbook.good.yaml")
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprint(f.Program.TableLineage("chunks"))
	want := fmt.Sprint([]stream.NodeLineage{{Node: "body", Operator: "parse.markdown", Version: 1}, {Node: "chunks", Operator: "split.markdown", Version: 3},
		{Node: "input", Operator: "expr", Version: 1}, {Node: "vector", Operator: "embed", Version: 1, Model: "nomic-embed-text"}})
	if got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func BenchmarkEvaluate(b *testing.B) {
	f, err := Load("testdata/handbook.good.yaml", "", testRegistry())
	if err != nil {
		b.Fatal(err)
	}
	doc, calls := page("a", strings.Repeat("some words of a paragraph\n\n", 20)), newCounted()
	for b.Loop() {
		if _, err := f.Program.Evaluate(context.Background(), doc, calls); err != nil {
			b.Fatal(err)
		}
	}
}
