package feast_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/freshet-dev/freshet/internal/testenv"
	"github.com/freshet-dev/freshet/sinks/feast"
	"github.com/freshet-dev/freshet/sinks/sinktest"
	"github.com/freshet-dev/freshet/stream"
)

func TestMain(m *testing.M) {
	if err := flag.Set("rapid.checks", "10"); err != nil { // each makes some hundred requests
		panic(err)
	}
	flag.Parse()
	os.Exit(testenv.Main(m))
}

func TestContract(t *testing.T) {
	sinktest.Run(t, func(t *testing.T) sinktest.Harness { return newPlace(t).harness(t) })
}

// place is a view of bookkeeping and views of tables of its own for a test, on a server that the package's tests share.
type place struct {
	server *testenv.FeastServer
	url    string
	name   string

	mu      sync.Mutex
	applied map[string]testenv.FeastView // by the table's name
	foreign map[string]bool              // tables that somebody else has
}

func newPlace(t testing.TB) *place {
	t.Helper()
	return placeOn(t, testenv.SharedFeast(t))
}

func placeOn(t testing.TB, server *testenv.FeastServer) *place {
	t.Helper()
	p := &place{server: server, url: server.URL(), name: strings.ReplaceAll(testenv.Name(t), "__", "_"), applied: map[string]testenv.FeastView{}, foreign: map[string]bool{}}
	server.Apply(t, testenv.FeastBooks(p.name))
	t.Cleanup(func() { p.forget(context.WithoutCancel(t.Context())) })
	return p
}

// forget removes the views: the server looks through all that it has at each push.
func (p *place) forget(ctx context.Context) {
	_, _ = p.server.Ask(ctx, "test/forget", testenv.FeastView{View: p.name})
	for _, v := range p.applied {
		_, _ = p.server.Ask(ctx, "test/forget", v)
	}
}

// by is the same place, reached at another URL.
func (p *place) by(url string) *place {
	return &place{server: p.server, url: url, name: p.name, applied: p.applied, foreign: p.foreign}
}

// view is the name of a table's view.
func (p *place) view(table string) string { return p.name + "-" + table }

// types are those of features, by the kinds of columns; others are strings.
var types = map[stream.Kind]string{stream.Bool: "Bool", stream.Int: "Int64", stream.Double: "Float64", stream.Vector: "Array(Float32)"}

// escaped is a name in a view, for those that the contract uses.
func escaped(name string) string {
	name = strings.ReplaceAll(name, "%", "%25")
	if strings.HasPrefix(name, "_") {
		name = "%5F" + name[1:]
	}
	return name
}

// apply makes the views of tables, as whoever keeps the feature repository does.
func (p *place) apply(t testing.TB, tables ...stream.Table) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, table := range tables {
		columns := map[string]string{}
		for _, c := range table.Columns {
			columns[escaped(c.Name)] = "String"
			if of := types[c.Type.Kind]; of != "" {
				columns[escaped(c.Name)] = of
			}
		}
		v := testenv.FeastRows(escaped(p.view(table.Name)), columns)
		if !p.foreign[table.Name] && fmt.Sprint(p.applied[table.Name]) != fmt.Sprint(v) {
			p.server.Apply(t, v)
			p.applied[table.Name] = v
		}
	}
}

func (p *place) settings(more ...stream.Entry) stream.Settings {
	return stream.Settings{Values: stream.MapOf(append([]stream.Entry{{Key: "url", Value: stream.StringOf(p.url)},
		{Key: "books", Value: stream.StringOf(p.name)}}, more...)...)}
}

// in is a table in its view, with few pages.
func (p *place) in(table stream.Table, more ...stream.Entry) stream.TargetTable {
	set := append([]stream.Entry{{Key: "view", Value: stream.StringOf(p.view(table.Name))}, {Key: "pages", Value: stream.IntOf(32)}}, more...)
	return stream.TargetTable{Table: table, Settings: stream.Settings{Values: stream.MapOf(set...)}}
}

func (p *place) sink(tables []stream.TargetTable, more ...stream.Entry) (stream.Sink, error) {
	return feast.Spec().New(stream.SinkConfig{Settings: p.settings(more...), Tables: tables})
}

// push writes a row by hand, as any client does: one that lies a moment above what is held.
func (p *place) push(t testing.TB, v testenv.FeastView, key, column string, value any) {
	t.Helper()
	var features []string
	for f := range v.Features {
		features = append(features, v.View+":"+f)
	}
	var a answer
	text, err := p.server.Ask(t.Context(), "get-online-features", map[string]any{"features": features, "entities": map[string][]string{v.Key[0]: {key}}})
	must(t, err)
	must(t, json.Unmarshal(text, &a))
	df := map[string][]any{v.Key[0]: {key}}
	for n, name := range a.Metadata.Names {
		if _, is := v.Features[name]; is {
			at, err := time.Parse(time.RFC3339Nano, a.Results[n].At[0])
			must(t, err)
			df["event_timestamp"] = []any{at.Add(time.Microsecond).Format("2006-01-02T15:04:05.000000Z")}
			df[name] = []any{a.Results[n].Values[0]}
		}
	}
	df[column] = []any{value}
	_, err = p.server.Ask(t.Context(), "push", map[string]any{"push_source_name": v.View, "df": df})
	must(t, err)
}

type answer struct {
	Metadata struct {
		Names []string `json:"feature_names"`
	}
	Results []struct {
		Values []json.RawMessage
		At     []string `json:"event_timestamps"`
	}
}

// harness applies what the tables need when a sink is made, as whoever keeps the feature repository does.
func (p *place) harness(t *testing.T) sinktest.Harness {
	return sinktest.Harness{
		New: func(tables []stream.TargetTable) (stream.Sink, error) {
			for n, declared := range tables {
				p.apply(t, declared.Table)
				tables[n] = p.in(declared.Table)
			}
			return p.sink(tables)
		},
		MakeForeign: func(t *testing.T, table string) {
			p.foreign[table] = true
			p.server.Apply(t, testenv.FeastView{View: p.view(table), Key: [2]string{"user", "String"}, Features: map[string]string{"title": "String"}})
		},
		Alter: func(t *testing.T, table string) {
			v := p.applied[table]
			v.Features = maps.Clone(v.Features)
			v.Features["remark"] = "String"
			p.server.Apply(t, v)
		},
		Drop: func(t *testing.T, table string) {
			p.server.Delete(t, p.view(table))
			p.server.Apply(t, p.applied[table])
		},
		Edit: func(t *testing.T, row stream.RowID, column, text string) {
			p.push(t, p.applied[row.Table], row.Document+":"+row.Key, column, text)
		},
		Is: sinktest.Guarantees{Guarantees: feast.Spec().Guarantees},
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
