package redis_test

import (
	"context"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/redis/rueidis"

	"github.com/freshet-dev/freshet/internal/testenv"
	"github.com/freshet-dev/freshet/sinks/redis"
	"github.com/freshet-dev/freshet/sinks/sinktest"
	"github.com/freshet-dev/freshet/stream"
)

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(testenv.Main(m))
}

func TestContract(t *testing.T) {
	sinktest.Run(t, func(t *testing.T) sinktest.Harness { return newPlace(t, testenv.SharedRedis(t)).harness() })
}

// place is a prefix of its own for a test, and a reader of the server that knows nothing of Freshet.
type place struct {
	url, prefix string
	client      rueidis.Client
}

func newPlace(t testing.TB, server *testenv.RedisServer) place {
	t.Helper()
	p := place{url: server.URL(), prefix: testenv.Name(t), client: dial(t, server)}
	t.Cleanup(func() { p.remove(t, p.prefix+":") })
	return p
}

func dial(t testing.TB, server *testenv.RedisServer) rueidis.Client {
	t.Helper()
	c, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{server.Addr()}, ForceSingleClient: true, DisableCache: true})
	must(t, err)
	t.Cleanup(c.Close)
	return c
}

// keys lists the names that start with a text.
func (p place) keys(t testing.TB, start string) []string {
	t.Helper()
	all, err := p.client.Do(context.WithoutCancel(t.Context()), p.client.B().Keys().Pattern("*").Build()).AsStrSlice()
	must(t, err)
	var found []string
	for _, name := range all {
		if strings.HasPrefix(name, start) {
			found = append(found, name)
		}
	}
	return found
}

func (p place) remove(t testing.TB, start string) {
	t.Helper()
	if names := p.keys(t, start); len(names) > 0 {
		must(t, p.client.Do(context.WithoutCancel(t.Context()), p.client.B().Del().Key(names...).Build()).Error())
	}
}

// set alters a field by hand.
func (p place) set(t testing.TB, name, field, text string) {
	t.Helper()
	must(t, p.client.Do(t.Context(), p.client.B().Hset().Key(name).FieldValue().FieldValue(field, text).Build()).Error())
}

func (p place) settings(more ...stream.Entry) stream.Settings {
	return stream.Settings{Values: stream.MapOf(append([]stream.Entry{{Key: "url", Value: stream.StringOf(p.url)},
		{Key: "prefix", Value: stream.StringOf(p.prefix)}}, more...)...)}
}

func (p place) sink(tables []stream.TargetTable, more ...stream.Entry) (stream.Sink, error) {
	return redis.Spec().New(stream.SinkConfig{Settings: p.settings(more...), Tables: tables})
}

func (p place) harness() sinktest.Harness {
	return sinktest.Harness{
		New:         func(tables []stream.TargetTable) (stream.Sink, error) { return p.sink(tables) },
		MakeForeign: func(t *testing.T, table string) { p.set(t, p.prefix+":"+table+":42", "clicks", "7") },
		Alter: func(t *testing.T, table string) {
			p.set(t, p.prefix+":_freshet:table:"+table, "columns", `columns: "remark" string`)
		},
		Drop: func(t *testing.T, table string) { p.remove(t, p.prefix+":"+table+":") },
		Edit: func(t *testing.T, row stream.RowID, column, text string) { p.set(t, p.name(row), column, text) },
		Is:   sinktest.Guarantees{Guarantees: redis.Spec().Guarantees},
	}
}

// name is that of a row's hash, for documents without colons.
func (p place) name(row stream.RowID) string {
	name := p.prefix + ":" + row.Table + ":" + row.Document
	if row.Key != "" {
		name += ":" + row.Key
	}
	return name
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%v (kind %s)", err, stream.KindOf(err))
	}
}

// scribe begins on an empty target, or takes over.
func (p place) scribe(t *testing.T, table stream.TargetTable, more ...stream.Entry) *sinktest.Scribe {
	t.Helper()
	sink, err := p.sink([]stream.TargetTable{table}, more...)
	must(t, err)
	return sinktest.NewScribe(t, sink, table.Table)
}

// wants demands an error of a kind, whose text holds some words.
func wants(t testing.TB, err error, kind stream.ErrorKind, says ...string) {
	t.Helper()
	if err == nil || stream.KindOf(err) != kind {
		t.Fatalf("got %v (kind %s), want an error of kind %s", err, stream.KindOf(err), kind)
	}
	for _, text := range says {
		if !strings.Contains(err.Error(), text) {
			t.Fatalf("the error %q does not say %q", err, text)
		}
	}
}
