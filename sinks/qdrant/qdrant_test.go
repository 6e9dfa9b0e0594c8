package qdrant_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	client "github.com/qdrant/go-client/qdrant"

	"github.com/freshet-dev/freshet/internal/testenv"
	"github.com/freshet-dev/freshet/sinks/qdrant"
	"github.com/freshet-dev/freshet/sinks/sinktest"
	"github.com/freshet-dev/freshet/stream"
)

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(testenv.Main(m))
}

// TestContract runs on Qdrant's own engine behind the test front.
func TestContract(t *testing.T) {
	sinktest.Run(t, func(t *testing.T) sinktest.Harness { return newPlace(t).harness() })
}

// place is a prefix of its own for a test, on a server that the package's tests share.
type place struct {
	url, prefix string
	client      *client.Client
}

func newPlace(t testing.TB) place {
	t.Helper()
	s := testenv.SharedQdrant(t)
	p := place{url: s.URL(), prefix: testenv.Name(t) + "_", client: dial(t, s)}
	t.Cleanup(func() { p.clear(t) })
	return p
}

func dial(t testing.TB, s *testenv.QdrantServer) *client.Client {
	t.Helper()
	var port int
	if _, err := fmt.Sscanf(s.URL(), "http://127.0.0.1:%d", &port); err != nil {
		t.Fatal(err)
	}
	c, err := client.NewClient(&client.Config{Host: "127.0.0.1", Port: port, SkipCompatibilityCheck: true, PoolSize: 1})
	must(t, err)
	t.Cleanup(func() { must(t, c.Close()) })
	return c
}

// clear drops the collections of the place.
func (p place) clear(t testing.TB) {
	ctx := context.WithoutCancel(t.Context())
	names, err := p.client.ListCollections(ctx)
	must(t, err)
	for _, n := range names {
		if strings.HasPrefix(n, p.prefix) {
			must(t, p.client.DeleteCollection(ctx, n))
		}
	}
}

func (p place) settings(more ...stream.Entry) stream.Settings {
	return stream.Settings{Values: stream.MapOf(append([]stream.Entry{{Key: "url", Value: stream.StringOf(p.url)},
		{Key: "prefix", Value: stream.StringOf(p.prefix)}}, more...)...)}
}

func (p place) sink(tables []stream.TargetTable) (stream.Sink, error) {
	return qdrant.Spec().New(stream.SinkConfig{Settings: p.settings(), Tables: tables})
}

func (p place) harness() sinktest.Harness {
	return sinktest.Harness{
		New: p.sink,
		MakeForeign: func(t *testing.T, table string) {
			must(t, p.client.CreateCollection(t.Context(), &client.CreateCollection{CollectionName: p.prefix + table,
				VectorsConfig: client.NewVectorsConfigMap(map[string]*client.VectorParams{"theirs": {Size: 4, Distance: client.Distance_Dot}})}))
		},
		Alter: func(t *testing.T, table string) {
			_, err := p.client.CreateFieldIndex(t.Context(), &client.CreateFieldIndexCollection{CollectionName: p.prefix + table,
				FieldName: "remark", FieldType: client.FieldType_FieldTypeKeyword.Enum(), Wait: client.PtrOf(true)})
			must(t, err)
		},
		Drop: func(t *testing.T, table string) { must(t, p.client.DeleteCollection(t.Context(), p.prefix+table)) },
		Edit: func(t *testing.T, row stream.RowID, column, text string) {
			_, err := p.client.SetPayload(t.Context(), &client.SetPayloadPoints{CollectionName: p.prefix + row.Table, Wait: client.PtrOf(true),
				Payload:        map[string]*client.Value{column: client.NewValueString(text)},
				PointsSelector: client.NewPointsSelector(p.find(t, row).GetId())})
			must(t, err)
		},
		See: func(t *testing.T, name string) []string { return p.texts(t, name) },
		Is:  sinktest.Guarantees{Guarantees: qdrant.Spec().Guarantees},
	}
}

// texts reads as another program would.
func (p place) texts(t *testing.T, collection string) (texts []string) {
	found, err := p.client.Scroll(t.Context(), &client.ScrollPoints{CollectionName: p.prefix + collection, WithPayload: client.NewWithPayload(true)})
	if err != nil {
		t.Error(err)
	}
	for _, point := range found {
		texts = append(texts, point.GetPayload()["text"].GetStringValue())
	}
	return texts
}

// find looks a row's point up, tombstone or not, as any client can.
func (p place) find(t testing.TB, row stream.RowID) *client.RetrievedPoint {
	t.Helper()
	found, err := p.client.Scroll(t.Context(), &client.ScrollPoints{CollectionName: p.prefix + row.Table, WithPayload: client.NewWithPayload(true),
		WithVectors: client.NewWithVectors(true), Filter: &client.Filter{Must: []*client.Condition{
			client.NewMatch("_document", row.Document), client.NewMatch("_key", row.Key)}}})
	must(t, err)
	if len(found) != 1 {
		t.Fatalf("%d points of row %v, want one", len(found), row)
	}
	return found[0]
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%v (kind %s)", err, stream.KindOf(err))
	}
}
