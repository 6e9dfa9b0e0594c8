package opensearch_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/freshet-dev/freshet/internal/testenv"
	"github.com/freshet-dev/freshet/sinks/sinktest"
	"github.com/freshet-dev/freshet/stream"
)

// TestDocument reads a row as any client does, who knows nothing of Freshet.
func TestDocument(t *testing.T) {
	p := newPlace(t)
	table := stream.Table{Name: "notes", Columns: []stream.Field{
		{Name: "a.b", Type: stream.TypeInt}, {Name: "lang", Type: stream.TypeString}, {Name: "none", Type: stream.TypeInt.OrNull()},
		{Name: "price", Type: stream.Type{Kind: stream.Decimal, Scale: 2}}, {Name: "seen", Type: stream.TypeTimestamp},
		{Name: "tags", Type: stream.ListType(stream.TypeString)}, {Name: "text", Type: stream.TypeString}, {Name: "vector", Type: stream.VectorType(stream.F16, 2)}}}
	price, _ := stream.ParseDecimal("12.50")
	vector, err := stream.RawVectorOf(stream.F16, []byte{0x00, 0x3c, 0x00, 0xc0})
	must(t, err)
	sink, err := p.sink([]stream.TargetTable{{Table: table, Settings: with(stream.Settings{}, "keywords", stream.ListOf(stream.StringOf("lang")))}})
	must(t, err)
	sinktest.NewScribe(t, sink, table)
	r := stream.RowWrite{RowID: stream.RowID{Table: "notes", Document: "page/a:1", Key: "k"}, Lineage: []byte(`{"l":1}`), Version: stream.Version{Generation: 1},
		Columns: []stream.Value{stream.IntOf(7), stream.StringOf("en"), {}, price, stream.TimestampOf(time.Date(2026, 11, 27, 9, 30, 0, 5e8, time.UTC)),
			stream.ListOf(stream.StringOf("x"), stream.StringOf("y")), stream.StringOf("Herons fish at dawn."), vector}}
	must(t, sink.Apply(t.Context(), stream.Batch{To: 1, Units: []stream.Unit{{Document: r.Document, Rows: []stream.RowWrite{r}}}}))

	for _, query := range []string{`{"match":{"text":"heron herons"}}`, `{"term":{"lang":"en"}}`, `{"term":{"tags":"y"}}`, `{"range":{"price":{"lt":13}}}`,
		`{"range":{"seen":{"gte":"2026-11-27"}}}`, `{"term":{"a%2Eb":7}}`, `{"knn":{"vector":{"vector":[1,-2],"k":1}}}`} {
		if hits := p.search(t, p.alias("notes"), query); len(hits) != 1 {
			t.Errorf("%s finds %d rows", query, len(hits))
		}
	}
	got := p.search(t, p.alias("notes"), `{"match_all":{}}`)[0]
	own := got.Source["_freshet"].(map[string]any)
	maps.DeleteFunc(own, func(field string, _ any) bool { return field == "epoch" || field == "at" })
	want := map[string]any{"a%2Eb": 7.0, "lang": "en", "price": "12.50", "seen": "2026-11-27T09:30:00.500000000Z", "tags": []any{"x", "y"}, "text": "Herons fish at dawn.",
		"vector": []any{1.0, -2.0}, "_freshet": map[string]any{"document": "page/a:1", "key": "k", "version": float64(r.Version.Pack()), "partition": 0.0, "lineage": `{"l":1}`}}
	if fmt.Sprint(got.Source) != fmt.Sprint(want) || got.ID != "page/a%3A1:k" || got.Version != r.Version.Pack() {
		t.Errorf("document %q of version %d is %v, want %v", got.ID, got.Version, got.Source, want)
	}
}

// TestTombstone: who asks the alias sees a deleted row no more; the index keeps its version, and an older write loses to it.
func TestTombstone(t *testing.T) {
	p := newPlace(t)
	w := p.scribe(t)
	w.Apply("a=one", "b=one")
	w.Apply("a")
	if hits := p.search(t, p.alias("notes"), `{"match_all":{}}`); len(hits) != 1 || hits[0].ID != "b" {
		t.Errorf("readers see %v", hits)
	}
	held := p.find(t, stream.RowID{Table: "notes", Document: "a"})
	if own := held.Source["_freshet"].(map[string]any); own["deleted"] != true || len(held.Source) != 1 {
		t.Errorf("a deleted row leaves %v", held)
	}
	must(t, w.Sink.Adopt(t.Context(), 0, sinktest.Origin, 0))
	w.Next = 0
	w.Apply("a=older")
	w.Holds("b=one@1")
}

// TestDamage: what was deleted, edited or copied by hand is as it was after a rebuild, at once, although the server remembers the deletion.
func TestDamage(t *testing.T) {
	p := newPlace(t)
	w := p.scribe(t)
	all := []string{"a=one", "b=one", "c=one", "d"}
	w.Apply(all...)
	p.ask(t, http.MethodDelete, p.index("notes")+"/_doc/a", "")
	p.ask(t, http.MethodPost, p.index("notes")+"/_update/b", `{"doc":{"text":"edited"}}`)
	p.ask(t, http.MethodPut, p.index("notes")+"/_doc/copy", `{"text":"one","_freshet":{"document":"c","key":"","version":`+fmt.Sprint(stream.Version{Generation: 1, Offset: 2}.Pack())+
		`,"epoch":1,"partition":0,"at":0}}`)
	w.Holds("b=edited@1", "c=one@2", "c=one@2")
	w.Rebuild(all...)
	w.Holds("a=one@0", "b=one@1", "c=one@2")
	w.Apply("a=two", "b=two") // the servers' own versions have moved on
	w.Holds("a=two@4", "b=two@5", "c=one@2")
}

// TestRefusedRow: a row that the index refuses is named, and the others of its request are written.
func TestRefusedRow(t *testing.T) {
	p := newPlace(t)
	table := stream.Table{Name: "notes", Columns: []stream.Field{{Name: "tags", Type: stream.ListType(stream.TypeInt)}}}
	sink, err := p.sink([]stream.TargetTable{{Table: table}})
	must(t, err)
	sinktest.NewScribe(t, sink, table)
	b := stream.Batch{To: 3}
	for n, v := range []stream.Value{stream.IntOf(1), stream.StringOf("no number"), stream.IntOf(3)} {
		document := fmt.Sprint("doc-", n)
		b.Units = append(b.Units, stream.Unit{Document: document, Rows: []stream.RowWrite{{RowID: stream.RowID{Table: "notes", Document: document},
			Version: stream.Version{Generation: 1, Offset: int64(n)}, Columns: []stream.Value{stream.ListOf(v)}}}})
	}
	wants(t, sink.Apply(t.Context(), b), stream.Usage, "document doc-1")
	var ids []string
	for _, h := range p.search(t, p.alias("notes"), `{"match_all":{}}`) {
		ids = append(ids, h.ID)
	}
	if slices.Sort(ids); !slices.Equal(ids, []string{"doc-0", "doc-2"}) {
		t.Errorf("%q are written", ids)
	}
	b.Units[1].Rows[0].Document = "not UTF-8 \xff"
	wants(t, sink.Apply(t.Context(), b), stream.Usage, "is not UTF-8")
}

// TestNoIndexByWriting: a write to a table that was removed makes none of the server's own.
func TestNoIndexByWriting(t *testing.T) {
	p := newPlace(t)
	w := p.scribe(t)
	w.Apply("a=one")
	p.ask(t, http.MethodDelete, p.index("notes"), "")
	wants(t, w.Sink.Apply(t.Context(), w.Batch("b=two")), stream.Transient, "start again")
	if text := p.ask(t, http.MethodGet, "/_cat/indices/"+p.alias("notes")[1:]+"*?h=index", ""); len(text) > 0 {
		t.Errorf("there is %s", text)
	}
}

// TestRefusals: what can't be is one error that says so, before anything is sent.
func TestRefusals(t *testing.T) {
	column := func(name string, of stream.Type) stream.Table {
		return stream.Table{Name: "t", Columns: []stream.Field{{Name: name, Type: of}}}
	}
	for want, c := range map[string]struct {
		url   string
		table stream.Table
		set   stream.Settings
	}{
		"setting url is missing":     {},
		"is for bookkeeping":         {url: "http://h", table: stream.Table{Name: "freshet"}},
		"makes no index":             {url: "http://h", table: column("v", stream.Type{Kind: stream.Sparse})},
		"dimensions, 1 to 16000":     {url: "http://h", table: column("v", stream.VectorType(stream.F32, 20_000))},
		"can't be named":             {url: "http://h", table: column("", stream.TypeInt)},
		"not one of its string":      {url: "http://h", table: column("n", stream.TypeInt), set: with(stream.Settings{}, "keywords", stream.ListOf(stream.StringOf("n")))},
		"longer than OpenSearch's 2": {url: "http://h", table: stream.Table{Name: testenv.Name(t) + string(make([]byte, 200))}},
	} {
		_, err := place{url: c.url}.sink([]stream.TargetTable{{Table: c.table, Settings: c.set}})
		wants(t, err, stream.Usage, want)
	}
	for _, url := range []string{"ftp://host", "http://", "http://user:pass-word@host", "https://host?x=1"} {
		sink, err := place{url: url}.sink(nil)
		must(t, err)
		_, err = sink.Open(t.Context(), "f", "t")
		wants(t, err, stream.Usage, "https://host:9200")
	}
}
