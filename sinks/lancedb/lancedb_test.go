package lancedb_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/freshet-dev/freshet/internal/testenv"
	"github.com/freshet-dev/freshet/sinks/lancedb"
	"github.com/freshet-dev/freshet/sinks/sinktest"
	"github.com/freshet-dev/freshet/stream"
)

func TestMain(m *testing.M) {
	if err := flag.Set("rapid.checks", "10"); err != nil { // each makes some hundred commits, which get slower with their number
		panic(err)
	}
	flag.Parse()
	os.Exit(testenv.Main(m))
}

func TestContract(t *testing.T) {
	sinktest.Run(t, func(t *testing.T) sinktest.Harness { return newPlace(t).harness() })
}

// place is a namespace of its own for a test, on a server that the package's tests share.
type place struct{ url, namespace string }

func newPlace(t testing.TB) place {
	t.Helper()
	return place{testenv.SharedLance(t).URL(), testenv.Name(t)}
}

// send sends a request as any client can, and returns the answer; one that is refused fails the test.
func (p place) send(t testing.TB, path, form string, body []byte) []byte {
	t.Helper()
	request, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), http.MethodPost, p.url+"/v1/"+path, bytes.NewReader(body))
	must(t, err)
	request.Header.Set("Content-Type", form)
	answer, err := http.DefaultClient.Do(request)
	must(t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	must(t, err)
	if answer.StatusCode >= 300 {
		t.Fatalf("%s gives %s", path, text)
	}
	return text
}

// ask asks something of a table in JSON.
func (p place) ask(t testing.TB, table, action string, body any) []byte {
	t.Helper()
	text, err := json.Marshal(body)
	must(t, err)
	return p.send(t, p.path(table)+"/"+action, "application/json", text)
}

// path leads to a table whose name needs no escapes.
func (p place) path(table string) string { return "table/" + p.namespace + "$" + table }

// fields are parts of a request in JSON.
type fields map[string]any

// query returns the rows that meet a condition in SQL, as any client sees them: each as JSON.
func (p place) query(t testing.TB, table, filter string) (rows []fields) {
	t.Helper()
	body := p.ask(t, table, "query", fields{"k": 100_000, "vector": fields{"single_vector": []int{}}, "filter": filter})
	file, err := ipc.NewFileReader(bytes.NewReader(body))
	must(t, err)
	defer file.Close()
	for n := range file.NumRecords() {
		batch, err := file.RecordBatchAt(n)
		must(t, err)
		text, err := array.RecordToStructArray(batch).MarshalJSON()
		must(t, err)
		var some []fields
		must(t, json.Unmarshal(text, &some))
		rows = append(rows, some...)
	}
	return rows
}

// makeForeign makes a table as a stranger would.
func (p place) makeForeign(t testing.TB, table string) {
	t.Helper()
	p.send(t, "namespace/"+p.namespace+"/create", "application/json", []byte("{}"))
	schema := arrow.NewSchema([]arrow.Field{{Name: "title", Type: arrow.BinaryTypes.String, Nullable: true}}, nil)
	var b bytes.Buffer
	w := ipc.NewWriter(&b, ipc.WithSchema(schema))
	must(t, w.Write(array.NewRecordBuilder(memory.DefaultAllocator, schema).NewRecordBatch()))
	must(t, w.Close())
	p.send(t, p.path(table)+"/create", "application/vnd.apache.arrow.stream", b.Bytes())
}

func (p place) settings(more ...stream.Entry) stream.Settings {
	entries := append([]stream.Entry{{Key: "url", Value: stream.StringOf(p.url)}}, more...)
	if p.namespace != "" {
		entries = append(entries, stream.Entry{Key: "namespace", Value: stream.ListOf(stream.StringOf(p.namespace))})
	}
	return stream.Settings{Values: stream.MapOf(entries...)}
}

func (p place) sink(tables []stream.TargetTable, more ...stream.Entry) (stream.Sink, error) {
	return lancedb.Spec().New(stream.SinkConfig{Settings: p.settings(more...), Tables: tables})
}

func (p place) harness() sinktest.Harness {
	return sinktest.Harness{
		New:         func(tables []stream.TargetTable) (stream.Sink, error) { return p.sink(tables) },
		MakeForeign: func(t *testing.T, table string) { p.makeForeign(t, table) },
		Alter: func(t *testing.T, table string) {
			p.ask(t, table, "add_columns", fields{"new_columns": []fields{{"name": "remark", "expression": "CAST(NULL AS STRING)"}}})
		},
		Drop: func(t *testing.T, table string) { p.ask(t, table, "drop", fields{}) },
		Edit: func(t *testing.T, row stream.RowID, column, text string) {
			p.ask(t, row.Table, "update", fields{"updates": [][]string{{column, "'" + text + "'"}},
				"predicate": fmt.Sprintf("_document = '%s' AND _key = '%s'", row.Document, row.Key)})
		},
		Is: sinktest.Guarantees{Guarantees: lancedb.Spec().Guarantees, MaxRow: 2_000_000}, // this server takes requests of 2 MiB
	}
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
