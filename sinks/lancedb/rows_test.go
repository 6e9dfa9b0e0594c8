package lancedb_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/freshet-dev/freshet/sinks/sinktest"
	"github.com/freshet-dev/freshet/stream"
)

// open opens a sink of one table and takes partition 0.
func (p place) open(t *testing.T, table stream.Table) *sinktest.Scribe {
	t.Helper()
	sink, err := p.sink([]stream.TargetTable{{Table: table}})
	must(t, err)
	return sinktest.NewScribe(t, sink, table)
}

// put writes one row.
func put(w *sinktest.Scribe, table, document, key string, columns ...stream.Value) {
	w.Helper()
	r := stream.RowWrite{RowID: stream.RowID{Table: table, Document: document, Key: key}, Lineage: []byte(`{"l":1}`),
		Version: stream.Version{Generation: 1, Offset: w.Next}, Columns: columns}
	must(w, w.Sink.Apply(w.Context(), stream.Batch{From: w.Next, To: w.Next + 1, Units: []stream.Unit{{Document: document, Rows: []stream.RowWrite{r}}}}))
	w.Next++
}

// TestRow reads a row as any client does, who knows nothing of Freshet.
func TestRow(t *testing.T) {
	p := newPlace(t)
	w := p.open(t, stream.Table{Name: "notes", Columns: []stream.Field{
		{Name: "a.b", Type: stream.TypeInt}, {Name: "meta", Type: stream.MapType()}, {Name: "none", Type: stream.TypeInt.OrNull()},
		{Name: "parts", Type: stream.Type{Kind: stream.MultiVector, Dims: 2}}, {Name: "price", Type: stream.Type{Kind: stream.Decimal, Scale: 2}},
		{Name: "seen", Type: stream.TypeTimestamp}, {Name: "sparse", Type: stream.Type{Kind: stream.Sparse}},
		{Name: "tags", Type: stream.ListType(stream.TypeString)}, {Name: "text", Type: stream.TypeString}, {Name: "vector", Type: stream.VectorType(stream.F16, 2)}}})
	price, _ := stream.ParseDecimal("12.50")
	vector, err := stream.RawVectorOf(stream.F16, []byte{0x00, 0x3c, 0x00, 0xc0})
	must(t, err)
	parts, err := stream.MultiVectorOf(2, []float32{1, 2, 3, 4})
	must(t, err)
	sparse, err := stream.SparseOf([]uint32{3, 9}, []float32{0.5, 1})
	must(t, err)
	put(w, "notes", "page/a:1", "k", stream.IntOf(7), stream.MapOf(stream.Entry{Key: "x", Value: stream.IntOf(1)}), stream.Value{}, parts, price,
		stream.TimestampOf(time.Date(2026, 11, 27, 9, 30, 0, 5e8, time.UTC)), sparse, stream.ListOf(stream.StringOf("x"), stream.StringOf("y")),
		stream.StringOf("Herons fish at dawn."), vector)
	for _, filter := range []string{"text LIKE '%dawn%'", "array_has(tags, 'y')", "price < 13", "seen > timestamp '2026-11-27'",
		"_deleted = false AND _document = 'page/a:1'"} {
		if rows := p.query(t, "notes", filter); len(rows) != 1 {
			t.Errorf("%s finds %d rows", filter, len(rows))
		}
	}
	row := p.query(t, "notes", "true")[0]
	delete(row, "_epoch")
	delete(row, "_at")
	got, err := json.Marshal(row)
	must(t, err)
	want := `{"_deleted":false,"_document":"page/a:1","_exact":null,"_id":"page/a%3A1:k","_key":"k","_lineage":"{\"l\":1}","_partition":0,"_version":8796093022208,` +
		`"a%2Eb":7,"meta":"{\"x\":1}","none":null,"parts":[[1,2],[3,4]],"price":"12.5","seen":"2026-11-27T09:30:00.5Z",` +
		`"sparse":{"indices":[3,9],"values":[0.5,1]},"tags":["x","y"],"text":"Herons fish at dawn.","vector":[1,-2]}`
	if string(got) != want {
		t.Errorf("the row is\n%s, want\n%s", got, want)
	}
}

// TestTombstone: a deleted row keeps its version and nothing else, and an older write loses to it.
func TestTombstone(t *testing.T) {
	p := newPlace(t)
	w := p.scribe(t)
	w.Apply("a=one", "b=one")
	w.Apply("a")
	rows := p.query(t, "notes", "_document = 'a'")
	if len(rows) != 1 || rows[0]["_deleted"] != true || rows[0]["text"] != nil || rows[0]["vector"] != nil || rows[0]["_lineage"] != nil {
		t.Errorf("a deleted row leaves %v", rows)
	}
	must(t, w.Sink.Adopt(t.Context(), 0, sinktest.Origin, 0))
	w.Next = 0
	w.Apply("a=older")
	w.Holds("b=one@1")
}

// TestDamage: what was deleted, edited or renamed by hand is as it was after a rebuild.
func TestDamage(t *testing.T) {
	p := newPlace(t)
	w := p.scribe(t)
	all := []string{"a=one", "b=one", "c=one", "d"}
	w.Apply(all...)
	p.ask(t, "notes", "delete", fields{"predicate": "_document = 'a'"})
	p.ask(t, "notes", "update", fields{"predicate": "_document = 'b'", "updates": [][]string{{"text", "'edited'"}}})
	p.ask(t, "notes", "update", fields{"predicate": "_document = 'c'", "updates": [][]string{{"_id", "'it''s mine'"}}})
	w.Holds("b=edited@1", "c=one@2")
	w.Rebuild(all...)
	w.Holds("a=one@0", "b=one@1", "c=one@2")
	w.Apply("a=two", "b=two")
	w.Holds("a=two@4", "b=two@5", "c=one@2")
}

// TestManyRows: a table of more rows than an answer has comes in order, each row once, with documents of several rows among them.
func TestManyRows(t *testing.T) {
	p := newPlace(t)
	w := p.open(t, stream.Table{Name: "notes", Columns: []stream.Field{{Name: "text", Type: stream.TypeString}}})
	b := stream.Batch{To: 1}
	var want []string
	for n := range 2500 {
		r := stream.RowWrite{RowID: stream.RowID{Table: "notes", Document: fmt.Sprintf("it's %d", n/900), Key: fmt.Sprintf("k%04d", n)},
			Version: stream.Version{Generation: 1}, Columns: []stream.Value{stream.StringOf(fmt.Sprint(n))}}
		b.Units = append(b.Units, stream.Unit{Document: r.Document, Rows: []stream.RowWrite{r}})
		want = append(want, fmt.Sprintf("%s/%s=%d@0", r.Document, r.Key, n))
	}
	must(t, w.Sink.Apply(t.Context(), b))
	w.Holds(want...)
}

// TestNoTableByWriting: a write to a table that was removed makes none.
func TestNoTableByWriting(t *testing.T) {
	p := newPlace(t)
	w := p.scribe(t)
	w.Apply("a=one")
	p.ask(t, "notes", "drop", fields{})
	wants(t, w.Sink.Apply(t.Context(), w.Batch("b=two")), stream.Transient, "start again")
	if changed, err := w.Sink.Open(t.Context(), sinktest.Origin.Flow, sinktest.Origin.Target); err != nil || len(changed) != 1 {
		t.Errorf("open says that %q changed (%v), want the table", changed, err)
	}
}

// TestSearch: vectors that can't be compared don't take places of those that can; halves are searched too.
func TestSearch(t *testing.T) {
	p := newPlace(t)
	w := p.open(t, stream.Table{Name: "notes", Columns: []stream.Field{
		{Name: "half", Type: stream.VectorType(stream.F16, 2)}, {Name: "vector", Type: stream.VectorType(stream.F32, 2)}}})
	half, err := stream.RawVectorOf(stream.F16, []byte{0x00, 0x3c, 0x00, 0x00})
	must(t, err)
	for n, vector := range [][]float32{{1e-30, 0}, {1e-25, 1e-25}, {0, 0}, {3, 4}, {-1, 0}} {
		put(w, "notes", fmt.Sprint("d", n), "", half, stream.VectorOf(vector))
	}
	for column, want := range map[string]string{"vector": "d3 0.4", "half": "d0 0.0"} {
		hits, err := w.Sink.(stream.Searcher).Search(t.Context(), "notes", column, stream.VectorOf([]float32{2, 0}), 1)
		if must(t, err); len(hits) != 1 || fmt.Sprintf("%s %.1f", hits[0].Document, hits[0].Distance) != want {
			t.Errorf("by %s: %+v, want %s", column, hits, want)
		}
	}
	for _, zero := range [][]float32{{0, 0}, {1e-30, 0}, {1e30, 0}} {
		_, err := w.Sink.(stream.Searcher).Search(t.Context(), "notes", "vector", stream.VectorOf(zero), 1)
		wants(t, err, stream.Usage, "no direction")
	}
}

// TestRefusals: what can't be is one error that says so, before anything is sent.
func TestRefusals(t *testing.T) {
	column := func(name string, of stream.Type) stream.Table {
		return stream.Table{Name: "t", Columns: []stream.Field{{Name: name, Type: of}}}
	}
	for want, c := range map[string]struct {
		place place
		table stream.Table
	}{
		"setting url is missing": {},
		"are for bookkeeping":     {place: place{url: "http://h"}, table: stream.Table{Name: "freshet"}},
		"no name of a namespace": {place: place{url: "http://h", namespace: "a$b"}, table: stream.Table{Name: "t"}},
		"dimensions, 1 to 65536": {place: place{url: "http://h"}, table: column("v", stream.VectorType(stream.F32, 0))},
		"column can't be named":  {place: place{url: "http://h"}, table: column("", stream.TypeInt)},
		"table can't be named":   {place: place{url: "http://h"}, table: stream.Table{}},
	} {
		_, err := c.place.sink([]stream.TargetTable{{Table: c.table}})
		wants(t, err, stream.Usage, want)
	}
	for _, url := range []string{"ftp://host", "http://", "http://user:pass-word@host", "https://host?x=1"} {
		sink, err := place{url: url}.sink(nil)
		must(t, err)
		_, err = sink.Open(t.Context(), "f", "t")
		wants(t, err, stream.Usage, "https://host:port")
	}
	w := newPlace(t).scribe(t)
	b := w.Batch("not UTF-8 \xff=text")
	wants(t, w.Sink.Apply(t.Context(), b), stream.Usage, "is not UTF-8")
	b = w.Batch("a=text")
	b.Units[0].Rows[0].Columns[1] = stream.VectorOf([]float32{1, 2, 3})
	wants(t, w.Sink.Apply(t.Context(), b), stream.Usage, "column vector")
}
