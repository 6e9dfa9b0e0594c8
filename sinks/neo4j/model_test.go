package neo4j_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/freshet-dev/freshet/stream"
)

// The tables of a graph: pages have chunks, chunks mention entities that documents share, pages link to pages, entities relate to each other.
var (
	text   = stream.TypeString.OrNull()
	number = stream.TypeInt.OrNull()

	pageTable   = stream.Table{Name: "pages", Columns: fields("title", text)}
	chunkTable  = stream.Table{Name: "chunks", Keyed: true, Columns: fields("text", text)}
	entityTable = stream.Table{Name: "entities", Keyed: true, Columns: fields("about", text, "kind", text, "rank", number),
		Shared: []stream.MergeRule{stream.MergeLongest, stream.MergeFirst, stream.MergeMax}}
	hasTable      = stream.Table{Name: "has", Keyed: true, Columns: fields("chunk", text, "page", text)}
	linkTable     = stream.Table{Name: "links", Keyed: true, Columns: fields("page", text, "target", text)}
	mentionTable  = stream.Table{Name: "mentions", Keyed: true, Columns: fields("chunk", text, "entity", text)}
	relationTable = stream.Table{Name: "relations", Keyed: true, Columns: fields("from", text, "to", text, "type", text, "weight", number),
		Shared: []stream.MergeRule{stream.MergeFirst, stream.MergeFirst, stream.MergeFirst, stream.MergeMax}}
)

func fields(namesAndTypes ...any) (out []stream.Field) {
	for i := 0; i < len(namesAndTypes); i += 2 {
		out = append(out, stream.Field{Name: namesAndTypes[i].(string), Type: namesAndTypes[i+1].(stream.Type)})
	}
	return out
}

func graphTables() []stream.TargetTable {
	node := func(t stream.Table, label string) stream.TargetTable {
		return stream.TargetTable{Table: t, Settings: settings("node", label)}
	}
	return []stream.TargetTable{node(pageTable, "Page"), node(chunkTable, "Chunk"), node(entityTable, "Entity"),
		edgeOf(hasTable, "HAS", "Page", "page", "Chunk", "chunk"), edgeOf(linkTable, "LINKS", "Page", "page", "Page", "target"),
		edgeOf(mentionTable, "MENTIONS", "Chunk", "chunk", "Entity", "entity"), edgeOf(relationTable, "type", "Entity", "from", "Entity", "to")}
}

func edgeOf(t stream.Table, typ, fromLabel, from, toLabel, to string) stream.TargetTable {
	pair := func(a, b string) stream.Value { return stream.ListOf(stream.StringOf(a), stream.StringOf(b)) }
	return stream.TargetTable{Table: t, Settings: stream.Settings{Values: stream.MapOf(stream.Entry{Key: "edge", Value: stream.StringOf(typ)},
		stream.Entry{Key: "from", Value: pair(fromLabel, from)}, stream.Entry{Key: "to", Value: pair(toLabel, to)})}}
}

// rows are a document's rows by identity.
type rows map[stream.RowID][]stream.Value

func (r rows) put(table, document, key string, columns ...any) {
	values := make([]stream.Value, len(columns))
	for i, c := range columns {
		switch c := c.(type) {
		case string:
			values[i] = stream.StringOf(c)
		case int:
			values[i] = stream.IntOf(int64(c))
		}
	}
	r[stream.RowID{Table: table, Document: document, Key: key}] = values
}

// draw makes up what a document says; at times nothing.
func draw(random *rand.Rand, document string) rows {
	r := rows{}
	if random.IntN(5) == 0 {
		return r
	}
	entity := func() string { return fmt.Sprint("e", random.IntN(25)) }
	r.put("pages", document, "", fmt.Sprint("title ", random.IntN(3)))
	r.put("links", document, "l", document, fmt.Sprint("doc ", random.IntN(40)))
	for i := range random.IntN(3) {
		key := fmt.Sprint("c", i)
		if random.IntN(4) > 0 {
			r.put("chunks", document, key, fmt.Sprint("text ", random.IntN(3)))
		}
		r.put("has", document, key, key, document)
		r.put("mentions", document, key, key, entity())
	}
	for range random.IntN(3) {
		r.put("entities", document, entity(), strings.Repeat("about ", random.IntN(4)), []any{nil, "person", "place"}[random.IntN(3)], random.IntN(9))
		a, b := entity(), entity()
		r.put("relations", document, a+"|"+b, a, b, []any{nil, "KNOWS", "OWNS", "odd `type"}[random.IntN(4)], random.IntN(9))
	}
	return r
}

// graph is what all documents' rows give, a line for each node and relationship.
func graph(documents map[string]rows) []string {
	all := rows{}
	for _, d := range documents {
		maps.Copy(all, d)
	}
	lines, nodes := []string{}, map[string]bool{}
	node := func(name string, columns ...stream.Value) {
		nodes[name] = true
		lines = append(lines, fmt.Sprint(name, " ", columns))
	}
	for id, c := range all {
		switch id.Table {
		case "pages":
			node("Page "+id.Document+"/", c...)
		case "chunks":
			node("Chunk "+id.Document+"/"+id.Key, c...)
		}
	}
	for key, c := range merged(all, "entities") {
		node("Entity /"+key, longest(c, 0), first(c, 1), greatest(c, 2))
	}
	edge := func(typ, from, to string, columns ...stream.Value) {
		if nodes[from] && nodes[to] && typ != "" {
			lines = append(lines, fmt.Sprint(from, " -", typ, "-> ", to, " ", columns))
		}
	}
	for id, c := range all {
		switch id.Table {
		case "has":
			edge("HAS", "Page "+c[1].Str()+"/", "Chunk "+id.Document+"/"+c[0].Str(), c...)
		case "links":
			edge("LINKS", "Page "+c[0].Str()+"/", "Page "+c[1].Str()+"/", c...)
		case "mentions":
			edge("MENTIONS", "Chunk "+id.Document+"/"+c[0].Str(), "Entity /"+c[1].Str(), c...)
		}
	}
	for _, c := range merged(all, "relations") {
		edge(first(c, 2).Str(), "Entity /"+first(c, 0).Str(), "Entity /"+first(c, 1).Str(), first(c, 0), first(c, 1), first(c, 2), greatest(c, 3))
	}
	sort.Strings(lines)
	return lines
}

// merged groups the rows of a shared table by key, each group in order of document.
func merged(all rows, table string) map[string][][]stream.Value {
	ids := slices.SortedFunc(maps.Keys(all), func(a, b stream.RowID) int { return strings.Compare(a.Document, b.Document) })
	out := map[string][][]stream.Value{}
	for _, id := range ids {
		if id.Table == table {
			out[id.Key] = append(out[id.Key], all[id])
		}
	}
	return out
}

func first(contributions [][]stream.Value, column int) stream.Value {
	for _, c := range contributions {
		if !c[column].IsNull() {
			return c[column]
		}
	}
	return stream.Value{}
}

func longest(contributions [][]stream.Value, column int) (v stream.Value) {
	for _, c := range contributions {
		if v.IsNull() || len(c[column].Str()) > len(v.Str()) {
			v = c[column]
		}
	}
	return v
}

func greatest(contributions [][]stream.Value, column int) (v stream.Value) {
	for _, c := range contributions {
		if v.IsNull() || c[column].Int() > v.Int() {
			v = c[column]
		}
	}
	return v
}

// graph reads the database as readers do, but for the bookkeeping, in the same lines.
func (d database) graph(t testing.TB) []string {
	t.Helper()
	columns := map[string][]string{"Page": {"title"}, "Chunk": {"text"}, "Entity": {"about", "kind", "rank"}, "HAS": {"chunk", "page"},
		"LINKS": {"page", "target"}, "MENTIONS": {"chunk", "entity"}}
	shown := func(kind string, p any) string {
		names, known := columns[kind]
		if !known {
			names = []string{"from", "to", "type", "weight"}
		}
		values := make([]string, len(names))
		for i, name := range names {
			switch x := p.(map[string]any)[name].(type) {
			case string:
				values[i] = stream.StringOf(x).String()
			case int64:
				values[i] = stream.IntOf(x).String()
			default:
				values[i] = stream.Value{}.String()
			}
		}
		return "[" + strings.Join(values, " ") + "]"
	}
	const name = "labels(%[1]s)[0] + ' ' + coalesce(%[1]s._document, '') + '/' + %[1]s._key"
	lines := []string{}
	for _, row := range d.ask(t, "MATCH (n) WHERE NOT labels(n)[0] STARTS WITH '_freshet' RETURN "+fmt.Sprintf(name, "n")+", labels(n)[0], properties(n)", nil) {
		lines = append(lines, fmt.Sprint(row[0], " ", shown(row[1].(string), row[2])))
	}
	for _, row := range d.ask(t, "MATCH (a)-[r]->(b) RETURN "+fmt.Sprintf(name, "a")+", type(r), "+fmt.Sprintf(name, "b")+", properties(r)", nil) {
		lines = append(lines, fmt.Sprint(row[0], " -", row[1], "-> ", row[2], " ", shown(row[1].(string), row[3])))
	}
	sort.Strings(lines)
	return lines
}

// want compares the database with the graph of all documents.
func (d database) want(t testing.TB, documents map[string]rows) {
	t.Helper()
	got, want := d.graph(t), graph(documents)
	if slices.Equal(got, want) {
		return
	}
	for _, line := range got {
		if !slices.Contains(want, line) {
			t.Errorf("the database has %s", line)
		}
	}
	for _, line := range want {
		if !slices.Contains(got, line) {
			t.Errorf("the database lacks %s", line)
		}
	}
	t.Fatalf("%d lines, want %d", len(got), len(want))
}
