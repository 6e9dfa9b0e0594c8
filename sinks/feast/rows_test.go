package feast_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/freshet-dev/freshet/internal/testenv"
	"github.com/freshet-dev/freshet/sinks/feast"
	"github.com/freshet-dev/freshet/sinks/sinktest"
	"github.com/freshet-dev/freshet/stream"
)

// scribe begins on an empty target, or takes over.
func (p *place) scribe(t *testing.T) *sinktest.Scribe {
	t.Helper()
	p.apply(t, sinktest.Notes)
	sink, err := p.sink([]stream.TargetTable{p.in(sinktest.Notes)})
	must(t, err)
	return sinktest.NewScribe(t, sink, sinktest.Notes)
}

// online is what a reader of features is given of one key: feature=value@event timestamp, in the order asked.
func (p *place) online(t *testing.T, v testenv.FeastView, key any, features ...string) string {
	t.Helper()
	var refs []string
	for _, f := range features {
		refs = append(refs, v.View+":"+f)
	}
	text, err := p.server.Ask(t.Context(), "get-online-features", map[string]any{"features": refs, "entities": map[string][]any{v.Key[0]: {key}}})
	must(t, err)
	var a answer
	must(t, json.Unmarshal(text, &a))
	var all []string
	at := ""
	for _, f := range features {
		n := slices.Index(a.Metadata.Names, f)
		all, at = append(all, f+"="+string(a.Results[n].Values[0])), a.Results[n].At[0]
	}
	return strings.Join(all, " ") + "@" + at
}

// products have a join key, a time and a column that is no feature.
var products = stream.Table{Name: "products", Columns: []stream.Field{{Name: "at", Type: stream.TypeTimestamp.OrNull()}, {Name: "name", Type: stream.TypeString},
	{Name: "price", Type: stream.Type{Kind: stream.Decimal, Scale: 2}}, {Name: "sku", Type: stream.TypeInt}}}

func (p *place) shop(t *testing.T) (*sinktest.Scribe, testenv.FeastView) {
	t.Helper()
	v := testenv.FeastRows(p.view("products"), map[string]string{"price": "String"})
	v.Key = [2]string{"sku", "Int64"}
	p.server.Apply(t, v)
	sink, err := p.sink([]stream.TargetTable{p.in(products, stream.Entry{Key: "entity", Value: stream.StringOf("sku")},
		stream.Entry{Key: "event_time", Value: stream.StringOf("at")}, stream.Entry{Key: "columns", Value: stream.ListOf(stream.StringOf("price"))})})
	must(t, err)
	return sinktest.NewScribe(t, sink, products), v
}

// sell writes products, a record each: at is in seconds since 2026, below 0 for null.
func sell(w *sinktest.Scribe, document string, sku, at int64, cents int64) {
	w.Helper()
	when := stream.Value{}
	if at >= 0 {
		when = stream.TimestampOf(time.Date(2026, 1, 1, 0, 0, int(at), 0, time.UTC))
	}
	b := w.Batch(document + "=x")
	b.Units[0].Rows[0].Columns = []stream.Value{when, stream.StringOf("a name"), stream.DecimalOf(bigInt(cents), 2), stream.IntOf(sku)}
	must(w.T, w.Sink.Apply(w.Context(), b))
	w.Next = b.To
}

// TestEventTimes: a row is of its own time, but never of one before the time that its key had.
func TestEventTimes(t *testing.T) {
	p := newPlace(t)
	w, v := p.shop(t)
	for n, c := range []struct {
		at   int64
		want string
	}{{10, "10Z"}, {20, "20Z"}, {5, "20.000001Z"}, {20, "20.000002Z"}, {30, "30Z"}} {
		sell(w, "a", 7, c.at, int64(100+n))
		if got, want := p.online(t, v, 7, "price"), fmt.Sprintf(`price="1.0%d"@2026-01-01T00:00:%s`, n, c.want); got != want {
			t.Errorf("readers see %s, want %s", got, want)
		}
	}
	sell(w, "a", 7, -1, 200)
	if got := p.online(t, v, 7, "price"); strings.Contains(got, "@2026-01-01T00:00:3") {
		t.Errorf("a row without a time is of %s, want the time it was written", got)
	}
}

// TestColumns: readers get what was chosen; what was not is null when it is read back, as Round says.
func TestColumns(t *testing.T) {
	p := newPlace(t)
	w, _ := p.shop(t)
	sell(w, "a", 7, 10, 125)
	want, err := w.Sink.(stream.Rounder).Round("products", []stream.Value{stream.TimestampOf(time.Unix(0, 0)), stream.StringOf("a name"),
		stream.DecimalOf(bigInt(125), 2), stream.IntOf(7)})
	must(t, err)
	must(t, w.Sink.(stream.Reader).ReadRows(t.Context(), "products", func(r stream.RowWrite) error {
		if fmt.Sprint(r.Columns) != fmt.Sprint(want) || !r.Columns[1].IsNull() {
			t.Errorf("%v is read back, want %v", r.Columns, want)
		}
		return nil
	}))
}

// TestJoinKeyMoves: a key belongs to the row that was written last, in whatever order the former one goes; one that a row has no more is a tombstone.
func TestJoinKeyMoves(t *testing.T) {
	p := newPlace(t)
	w, v := p.shop(t)
	const gone = "_deleted=true price=null"
	holds := func(sku int, want string) {
		t.Helper()
		if got, _, _ := strings.Cut(p.online(t, v, sku, "_deleted", "price"), "@"); got != want {
			t.Errorf("key %d is %s, want %s", sku, got, want)
		}
	}
	sell(w, "a", 1, 10, 100)
	sell(w, "b", 1, 5, 200) // an earlier time does not keep it from moving
	holds(1, `_deleted=false price="2.00"`)
	w.Apply("a")
	holds(1, `_deleted=false price="2.00"`)
	sell(w, "b", 2, 11, 201)
	holds(1, gone)
	holds(2, `_deleted=false price="2.01"`)
	sell(w, "c", 1, 3, 300)
	holds(1, `_deleted=false price="3.00"`)
	sell(w, "b", 1, 12, 400)
	sell(w, "c", 2, 12, 500)
	holds(1, `_deleted=false price="4.00"`)
	holds(2, `_deleted=false price="5.00"`)
	w.Apply("b", "c")
	holds(1, gone)
	holds(2, gone)
}

// TestTombstone: a deleted row keeps its version and nothing else, and an older write loses to it.
func TestTombstone(t *testing.T) {
	p := newPlace(t)
	w := p.scribe(t)
	w.Apply("a=one", "b=one")
	w.Apply("a")
	got, _, _ := strings.Cut(p.online(t, p.applied["notes"], "a:", "_deleted", "_version", "text", "vector", "_lineage"), "@")
	if want := "_deleted=true _version=8796093022210 text=null vector=null _lineage=null"; got != want {
		t.Errorf("a deleted row leaves %s, want %s", got, want)
	}
	must(t, w.Sink.Adopt(t.Context(), 0, sinktest.Origin, 0))
	w.Next = 0
	w.Apply("a=older")
	w.Holds("b=one@1")
}

// TestDamage: what was deleted or edited by hand, also under a time far ahead, is as it was after a rebuild, and the next writes go in.
func TestDamage(t *testing.T) {
	p := newPlace(t)
	w := p.scribe(t)
	all := []string{"a=one", "b=one", "c=one", "d"}
	w.Apply(all...)
	p.push(t, p.applied["notes"], "a:", "_deleted", true)
	p.push(t, p.applied["notes"], "b:", "text", "edited")
	p.push(t, p.applied["notes"], "c:", "event_timestamp", "2200-01-01T00:00:00.000000Z")
	p.push(t, p.applied["notes"], "c:", "text", "ahead")
	w.Holds("b=edited@1", "c=ahead@2")
	w.Rebuild(all...)
	w.Holds("a=one@0", "b=one@1", "c=one@2")
	w.Apply("a=two", "b=two", "c=two")
	w.Holds("a=two@4", "b=two@5", "c=two@6")
	w.Apply("c")
	w.Holds("a=two@4", "b=two@5")
}

// TestViews: what is to be applied is said, for each way in which a view is not as it has to be.
func TestViews(t *testing.T) {
	p := newPlace(t)
	good := func() testenv.FeastView {
		return testenv.FeastRows(p.view("notes"), map[string]string{"text": "String", "vector": "Array(Float32)"})
	}
	open := func() error {
		sink, err := p.sink([]stream.TargetTable{p.in(sinktest.Notes)})
		must(t, err)
		defer sink.Close()
		_, err = sink.Open(t.Context(), "f", "t")
		return err
	}
	wants(t, open(), stream.Usage, `Field(name="text", dtype=String)`)
	for name, spoil := range map[string]func(*testenv.FeastView){
		"no feature":          func(v *testenv.FeastView) { delete(v.Features, "text") },
		"one of another type": func(v *testenv.FeastView) { v.Features["text"] = "Int64" },
		"ints for doubles":    func(v *testenv.FeastView) { v.Features["vector"] = "String" },
		"one more":            func(v *testenv.FeastView) { v.Features["more"] = "String" },
		"another key":         func(v *testenv.FeastView) { v.Key[0] = "id" },
	} {
		v := good()
		spoil(&v)
		p.server.Apply(t, v)
		if err := open(); stream.KindOf(err) != stream.Usage || !strings.Contains(fmt.Sprint(err), "FeatureView(name=") {
			t.Errorf("%s: %v (kind %s)", name, err, stream.KindOf(err))
		}
	}
	p.server.Apply(t, good())
	must(t, open())
	q := p.by(p.url)
	q.name = "nobody_applied_it"
	sink, err := q.sink(nil)
	must(t, err)
	_, err = sink.Open(t.Context(), "f", "t")
	wants(t, err, stream.Usage, `FeatureView(name="nobody_applied_it"`)
}

// TestRefusals: what can't be is one error that says so, before anything is sent.
func TestRefusals(t *testing.T) {
	set := func(entries ...string) stream.Settings {
		var all []stream.Entry
		for n := 0; n < len(entries); n += 2 {
			all = append(all, stream.Entry{Key: entries[n], Value: stream.StringOf(entries[n+1])})
		}
		return stream.Settings{Values: stream.MapOf(all...)}
	}
	url := set("url", "http://h")
	for want, c := range map[string]struct {
		target, table stream.Settings
		name          string
	}{
		"setting url is missing":       {},
		"is for bookkeeping":           {target: url, name: "freshet"},
		"no column \"nope\"":           {target: url, name: "products", table: set("entity", "nope")},
		"a join key is a string or":    {target: url, name: "products", table: set("entity", "price")},
		"it has to be a timestamp":     {target: url, name: "products", table: set("event_time", "sku")},
		"feature view can't be named ": {target: url},
	} {
		tables := []stream.TargetTable{{Table: stream.Table{Name: c.name, Columns: products.Columns}, Settings: c.table}}
		_, err := feast.Spec().New(stream.SinkConfig{Settings: c.target, Tables: tables})
		wants(t, err, stream.Usage, want)
	}
	for _, url := range []string{"ftp://host", "http://", "http://user:pass-word@host", "https://host?x=1"} {
		sink, err := feast.Spec().New(stream.SinkConfig{Settings: set("url", url)})
		must(t, err)
		_, err = sink.Open(t.Context(), "f", "t")
		wants(t, err, stream.Usage, "https://host:port")
	}
	w := newPlace(t).scribe(t)
	wants(t, w.Sink.Apply(t.Context(), w.Batch("not UTF-8 \xff=text")), stream.Usage, "is not UTF-8")
}
