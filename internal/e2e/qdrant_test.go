package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/freshet-dev/freshet/internal/testenv"
	"github.com/freshet-dev/freshet/sinks/qdrant"
	"github.com/freshet-dev/freshet/stream"
)

const qdrantFlow = `flow: notes
sources: { page: { files: { root: ./docs, include: ["**/*.md"] } } }
models: { lexical: { provider: hash } }
nodes:
  body:   { op: parse.markdown, in: page.content }
  vector: { op: embed, in: body.text, model: lexical }
tables: { pages: { columns: { path: page.path, text: body.text, embedding: vector } } }
targets: { search: { qdrant: { url: "env:QDRANT_URL" }, tables: { pages: { table: kept, indexes: [path] } } } }
`

// TestQdrant: files are kept in step with a collection, by the binary, as they are made, edited and deleted.
func TestQdrant(t *testing.T) {
	server := testenv.Qdrant(t, testenv.QdrantOptions{})
	p := newProject(t, qdrantFlow)
	p.env = []string{"QDRANT_URL=" + server.URL()}
	p.keptInStep("collection", func() []string { return kept(t, server) })
}

// kept reads the collection through the target's own sink.
func kept(t *testing.T, server *testenv.QdrantServer) (rows []string) {
	t.Helper()
	table := stream.TargetTable{Table: stream.Table{Name: "pages", Columns: []stream.Field{
		{Name: "embedding", Type: stream.VectorType(stream.F32, 256).OrNull()}, {Name: "path", Type: stream.TypeString.OrNull()},
		{Name: "text", Type: stream.TypeString.OrNull()}}}, Settings: settings("table", "kept")}
	sink, err := qdrant.New(stream.SinkConfig{Settings: settings("url", server.URL()), Tables: []stream.TargetTable{table}})
	if err != nil {
		t.Fatal(err)
	}
	defer sink.Close()
	if err := sink.(stream.Reader).ReadRows(t.Context(), "pages", func(r stream.RowWrite) error {
		if r.Columns[0].Dims() != 256 || !json.Valid(r.Lineage) {
			return fmt.Errorf("document %s has the vector %v and the lineage %q", r.Document, r.Columns[0], r.Lineage)
		}
		rows = append(rows, r.Document+" "+strings.TrimSpace(r.Columns[2].Str()))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	slices.Sort(rows)
	return rows
}

func settings(name, value string) stream.Settings {
	return stream.Settings{Values: stream.MapOf(stream.Entry{Key: name, Value: stream.StringOf(value)})}
}
