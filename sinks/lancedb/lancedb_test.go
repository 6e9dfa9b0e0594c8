package lancedb_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

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

// table is a table whose name needs no escapes, as any client sees it.
func (p place) table(name string) testenv.LanceTable {
	return testenv.LanceTableAt(p.url, p.namespace+"$"+name)
}

// ask asks something of a table in JSON.
func (p place) ask(t testing.TB, table, action string, body any) []byte {
	t.Helper()
	text, err := p.table(table).Ask(context.WithoutCancel(t.Context()), action, body)
	must(t, err)
	return text
}

// fields are parts of a request in JSON.
type fields map[string]any

// query returns the rows that meet a condition in SQL, as any client sees them.
func (p place) query(t testing.TB, table, filter string) (rows []fields) {
	t.Helper()
	found, err := p.table(table).Query(t.Context(), filter)
	must(t, err)
	for _, text := range found {
		var row fields
		must(t, json.Unmarshal(text, &row))
		rows = append(rows, row)
	}
	return rows
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
		New: func(tables []stream.TargetTable) (stream.Sink, error) { return p.sink(tables) },
		MakeForeign: func(t *testing.T, table string) {
			schema := arrow.NewSchema([]arrow.Field{{Name: "title", Type: arrow.BinaryTypes.String, Nullable: true}}, nil)
			must(t, p.table(table).Create(t.Context(), schema))
		},
		Alter: func(t *testing.T, table string) {
			p.ask(t, table, "add_columns", fields{"new_columns": []fields{{"name": "remark", "expression": "CAST(NULL AS STRING)"}}})
		},
		Drop: func(t *testing.T, table string) { p.ask(t, table, "drop", fields{}) },
		Edit: func(t *testing.T, row stream.RowID, column, text string) {
			p.ask(t, row.Table, "update", fields{"updates": [][]string{{column, "'" + text + "'"}},
				"predicate": fmt.Sprintf("_document = '%s' AND _key = '%s'", row.Document, row.Key)})
		},
		See:      func(t *testing.T, name string) []string { return p.texts(t, name) },
		Switches: 10,                                                                            // each is a commit
		Is:       sinktest.Guarantees{Guarantees: lancedb.Spec().Guarantees, MaxRow: 2_000_000}, // this server takes requests of 2 MiB
	}
}

// texts reads column text through a front, as docs/targets/lancedb.md tells readers to.
func (p place) texts(t testing.TB, front string) (texts []string) {
	t.Helper()
	shows, _ := p.query(t, "freshet_fronts", "name = '"+front+"'")[0]["shows"].(string)
	for _, row := range p.query(t, shows, "_deleted = false") {
		text, _ := row["text"].(string)
		texts = append(texts, text)
	}
	return texts
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
