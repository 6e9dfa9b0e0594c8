package neo4j_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/freshet-dev/freshet/sinks/neo4j"
	"github.com/freshet-dev/freshet/stream"
)

// part is an edition of a table of nodes with the label Part, with a vector.
func part(edition int64) stream.TargetTable {
	return stream.TargetTable{
		Table: stream.Table{Name: stream.EditionName("parts", edition), Keyed: true,
			Columns: []stream.Field{{Name: "text", Type: stream.TypeString}, {Name: "v", Type: stream.VectorType(stream.F32, 2)}}},
		Settings: settings("node", stream.EditionName("Part", edition)), Front: "Part",
	}
}

// TestSearchThroughAFront: the name of an edition's vector index is put together from the front, in the statement that searches; the names of a
// front and of a label exclude each other, whichever came first.
func TestSearchThroughAFront(t *testing.T) {
	d := empty(t)
	sink, err := newSink(d.url, part(1), part(2))
	must(t, err)
	t.Cleanup(func() { must(t, sink.Close()) })
	_, err = sink.Open(t.Context(), "graph", "kg")
	must(t, err)
	w := newWriter(t, sink, 0)
	for edition := range int64(2) {
		name := stream.EditionName("parts", edition+1)
		w.apply(t, name, rows{{Table: name, Document: name, Key: "k"}: {stream.StringOf(name), stream.VectorOf([]float32{1, 0})}})
	}
	for _, name := range []string{"parts__1", "parts__2", "parts__1"} {
		must(t, sink.(stream.Fronter).Show(t.Context(), []string{name}))
		found := d.ask(t, "MATCH (f:_freshet_front {name: 'Part'}) CALL db.index.vector.queryNodes('_freshet_vector_Part__' + f.edition + '.v', 5, [1.0, 0.1]) "+
			"YIELD node RETURN node.text", nil)
		if fmt.Sprint(found) != "[["+name+"]]" {
			t.Errorf("a search through the front finds %v, want %s", found, name)
		}
	}
	other := stream.TargetTable{Table: stream.Table{Name: "Part", Columns: part(1).Table.Columns}}
	refused(t, d, other, "flow graph, target kg shows editions under the label")
	later, err := newSink(d.url, other)
	must(t, err)
	_, err = later.Open(t.Context(), "graph", "kg")
	must(t, err)
	must(t, later.Close())

	d = empty(t)
	holder, err := newSink(d.url, other)
	must(t, err)
	t.Cleanup(func() { must(t, holder.Close()) })
	_, err = holder.Open(t.Context(), "other", "kg")
	must(t, err)
	_, err = sink.Open(t.Context(), "graph", "kg")
	must(t, err)
	wantRefusal(t, sink.(stream.Fronter).Show(t.Context(), []string{"parts__1"}), "is used already")
}

// refused opens a target of another flow with a table that it can't have.
func refused(t *testing.T, d database, table stream.TargetTable, words string) {
	t.Helper()
	sink, err := newSink(d.url, table)
	must(t, err)
	defer func() { must(t, sink.Close()) }()
	_, err = sink.Open(t.Context(), "other", "kg")
	wantRefusal(t, err, words)
}

func wantRefusal(t *testing.T, err error, words string) {
	t.Helper()
	if stream.KindOf(err) != stream.Usage || !strings.Contains(fmt.Sprint(err), words) {
		t.Errorf("%v (kind %s), want a refusal that says %q", err, stream.KindOf(err), words)
	}
}

// TestTablesThatRollOut: what can't roll out is told when the flow is checked.
func TestTablesThatRollOut(t *testing.T) {
	check := neo4j.Spec().Check
	must(t, check(graphTables()))
	must(t, check([]stream.TargetTable{part(1), part(2)}))
	rolling := func(name, front string) []stream.TargetTable {
		tables := graphTables()
		for i := range tables {
			if tables[i].Table.Name == name {
				tables[i].Front = front
			}
		}
		return tables
	}
	wantRefusal(t, check(rolling("links", "links")), "relationships, which can't roll out")
	wantRefusal(t, check(rolling("chunks", "Chunk")), `nodes with the label "Chunk" roll out`)
	label := stream.TargetTable{Table: stream.Table{Name: "others", Columns: part(1).Table.Columns}, Settings: settings("node", "Part")}
	wantRefusal(t, check([]stream.TargetTable{part(1), label}), `would both be nodes with the label "Part"`)
}
