package opensearch_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/freshet-dev/freshet/internal/testenv"
	"github.com/freshet-dev/freshet/sinks/opensearch"
	"github.com/freshet-dev/freshet/sinks/sinktest"
	"github.com/freshet-dev/freshet/stream"
)

func TestMain(m *testing.M) {
	if err := flag.Set("rapid.checks", "30"); err != nil { // each needs some hundred refreshes of an index
		panic(err)
	}
	flag.Parse()
	os.Exit(testenv.Main(m))
}

func TestContract(t *testing.T) {
	sinktest.Run(t, func(t *testing.T) sinktest.Harness { return newPlace(t).harness() })
}

// place is a prefix of its own for a test, on a node that the package's tests share.
type place struct{ url, prefix string }

func newPlace(t testing.TB) place {
	t.Helper()
	p := place{testenv.SharedOpenSearch(t).URL(), testenv.Name(t) + "-"}
	t.Cleanup(func() { p.ask(t, http.MethodDelete, "/"+url.PathEscape(p.prefix)+"*", "") })
	return p
}

// ask sends a request as any client can, and returns the answer; one that is refused fails the test.
func (p place) ask(t testing.TB, method, path, body string) []byte {
	t.Helper()
	text, err := p.send(context.WithoutCancel(t.Context()), method, path, body)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func (p place) send(ctx context.Context, method, path, body string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, p.url+path, bytes.NewBufferString(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode >= 300 {
		err = fmt.Errorf("%s %s gives %s", method, path, text)
	}
	return text, err
}

// texts reads as another program would, which refreshes nothing.
func (p place) texts(t *testing.T, alias string) (texts []string) {
	var answer struct{ Hits struct{ Hits []found } }
	text, err := p.send(t.Context(), http.MethodPost, p.alias(alias)+"/_search", `{"size":100}`)
	if err == nil {
		err = json.Unmarshal(text, &answer)
	}
	if err != nil {
		t.Error(err)
	}
	for _, h := range answer.Hits.Hits {
		texts = append(texts, fmt.Sprint(h.Source["text"]))
	}
	return texts
}

// alias is how a reader names a table whose name needs no escapes.
func (p place) alias(table string) string { return "/" + url.PathEscape(p.prefix+table) }

// index is where its rows are, and its tombstones.
func (p place) index(table string) string { return p.alias(table) + "~1" }

func (p place) settings(more ...stream.Entry) stream.Settings {
	return stream.Settings{Values: stream.MapOf(append([]stream.Entry{{Key: "url", Value: stream.StringOf(p.url)},
		{Key: "prefix", Value: stream.StringOf(p.prefix)}}, more...)...)}
}

func (p place) sink(tables []stream.TargetTable, more ...stream.Entry) (stream.Sink, error) {
	for n := range tables {
		tables[n].Settings = with(tables[n].Settings, "replicas", stream.IntOf(0))
	}
	return opensearch.Spec().New(stream.SinkConfig{Settings: p.settings(more...), Tables: tables})
}

func with(s stream.Settings, name string, v stream.Value) stream.Settings {
	s.Values = stream.MapOf(append(s.Values.Entries(), stream.Entry{Key: name, Value: v})...)
	return s
}

func (p place) harness() sinktest.Harness {
	return sinktest.Harness{
		New:         func(tables []stream.TargetTable) (stream.Sink, error) { return p.sink(tables) },
		MakeForeign: func(t *testing.T, table string) { p.ask(t, http.MethodPut, p.alias(table), `{}`) },
		Alter: func(t *testing.T, table string) {
			p.ask(t, http.MethodPut, p.index(table)+"/_mapping", `{"properties":{"remark":{"type":"text"}}}`)
		},
		Drop: func(t *testing.T, table string) { p.ask(t, http.MethodDelete, p.index(table), "") },
		Edit: func(t *testing.T, row stream.RowID, column, text string) {
			p.ask(t, http.MethodPost, p.index(row.Table)+"/_update/"+url.PathEscape(p.find(t, row).ID),
				fmt.Sprintf(`{"doc":{%q:%q}}`, column, text))
		},
		See: func(t *testing.T, name string) []string { return p.texts(t, name) },
		Is:  sinktest.Guarantees{Guarantees: opensearch.Spec().Guarantees},
	}
}

// found is a document as any client sees it.
type found struct {
	ID      string         `json:"_id"`
	Version int64          `json:"_version"`
	Source  map[string]any `json:"_source"`
}

// search lists the documents of an index or alias that a query finds.
func (p place) search(t testing.TB, path, query string) []found {
	t.Helper()
	p.ask(t, http.MethodPost, path+"/_refresh", "")
	var answer struct{ Hits struct{ Hits []found } }
	must(t, json.Unmarshal(p.ask(t, http.MethodPost, path+"/_search", `{"size":1000,"version":true,"query":`+query+`}`), &answer))
	return answer.Hits.Hits
}

// find looks a row's document up, tombstone or not.
func (p place) find(t testing.TB, row stream.RowID) found {
	t.Helper()
	hits := p.search(t, p.index(row.Table), fmt.Sprintf(`{"bool":{"filter":[{"term":{"_freshet.document":%q}},{"term":{"_freshet.key":%q}}]}}`, row.Document, row.Key))
	if len(hits) != 1 {
		t.Fatalf("%d documents of row %v, want one", len(hits), row)
	}
	return hits[0]
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%v (kind %s)", err, stream.KindOf(err))
	}
}

// wants demands an error of a kind, whose text holds some words.
func wants(t testing.TB, err error, kind stream.ErrorKind, words string) {
	t.Helper()
	if err == nil || stream.KindOf(err) != kind || !strings.Contains(err.Error(), words) {
		t.Fatalf("got %v (kind %s), want kind %s and %q", err, stream.KindOf(err), kind, words)
	}
}

// scribe begins on an empty target, or takes over.
func (p place) scribe(t *testing.T, more ...stream.Entry) *sinktest.Scribe {
	t.Helper()
	sink, err := p.sink([]stream.TargetTable{{Table: sinktest.Notes}}, more...)
	must(t, err)
	return sinktest.NewScribe(t, sink, sinktest.Notes)
}
