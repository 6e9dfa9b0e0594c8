//go:build bench

package sinks

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/freshet-dev/freshet/internal/testenv"
	"github.com/freshet-dev/freshet/sinks/feast"
	"github.com/freshet-dev/freshet/stream"
)

// feastContest has a bare client that pushes all rows of a batch to the online store by one request, each at the time of its writing.
func feastContest(t *testing.T, k kind) contest {
	t.Helper()
	server := testenv.SharedFeast(t)
	name := strings.ReplaceAll(testenv.Name(t), "__", "_")
	features := map[string]string{"n": "Int64", "path": "String", "text": "String"}
	if k.dims > 0 {
		features["embedding"] = "Array(Float32)"
	}
	all := testenv.FeastRows(name+"-bare", features)
	few := testenv.FeastView{View: name + "-columns", Key: all.Key, Features: features}
	rows := testenv.FeastRows(name+"-pages", features)
	server.Apply(t, testenv.FeastBooks(name), rows, all, few)
	bare := func(view testenv.FeastView, whole bool) writer {
		return func(ctx context.Context, rows []row) error {
			frame := map[string][]any{}
			add := func(name string, value any) { frame[name] = append(frame[name], value) }
			for _, r := range rows {
				add(view.Key[0], r.document+" "+r.key)
				add("event_timestamp", time.Now().UTC().Format("2006-01-02T15:04:05.000000Z"))
				add("n", r.n)
				add("path", r.path)
				add("text", r.text)
				if r.vector != nil {
					add("embedding", r.vector)
				}
				if whole {
					add("_document", r.document)
					add("_key", r.key)
					add("_version", r.version())
					add("_deleted", false)
					add("_lineage", lineage)
					add("_exact", "")
				}
			}
			_, err := server.Ask(ctx, "push", map[string]any{"push_source_name": view.View, "to": "online", "df": frame})
			return err
		}
	}
	table := stream.TargetTable{Table: k.table(), Settings: settings(text("view", rows.View), stream.Entry{Key: "pages", Value: stream.IntOf(64)})}
	sink, err := feast.Spec().New(stream.SinkConfig{Settings: settings(text("url", server.URL()), text("books", name)), Tables: []stream.TargetTable{table}})
	must(t, err)
	return contest{size: size{256, 4, 1024}, sink: sink, same: bare(all, true), columns: bare(few, false)}
}
