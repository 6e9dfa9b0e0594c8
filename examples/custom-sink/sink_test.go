package jsonfiles

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/freshet-dev/freshet/sinks/guard"
	"github.com/freshet-dev/freshet/sinks/sinktest"
	"github.com/freshet-dev/freshet/stream"
)

// TestContract: every promise that a target makes, kept on real files. A target of yours needs such a test and no other.
func TestContract(t *testing.T) {
	sinktest.Run(t, func(t *testing.T) sinktest.Harness {
		d := directory(inMemory(t))
		columns := map[string][]stream.Field{}
		return sinktest.Harness{
			New: func(tables []stream.TargetTable) (stream.Sink, error) {
				for _, declared := range tables {
					columns[declared.Table.Name] = declared.Table.Columns
				}
				settings := stream.Settings{Values: stream.MapOf(stream.Entry{Key: "path", Value: stream.StringOf(string(d))})}
				return Spec().New(stream.SinkConfig{Settings: settings, Tables: tables})
			},
			MakeForeign: func(t *testing.T, table string) {
				byHand(t, d.Update(t.Context(), table, "theirs", func([]byte) ([]byte, error) { return []byte("{}"), nil }))
			},
			Alter: func(t *testing.T, table string) {
				byHand(t, d.Update(t.Context(), "freshet", "freshet/shape/"+table, func(entry []byte) ([]byte, error) {
					var doc guard.Document
					err := json.Unmarshal(entry, &doc)
					doc.Body = append(doc.Body, ", remark string"...)
					return jsonOf(doc, err)
				}))
			},
			Drop: func(t *testing.T, table string) {
				byHand(t, os.RemoveAll(d.bucket(table)))
				byHand(t, d.Update(t.Context(), "freshet", "freshet/shape/"+table, func([]byte) ([]byte, error) { return nil, nil }))
			},
			Edit: func(t *testing.T, row stream.RowID, column, text string) {
				n := slices.IndexFunc(columns[row.Table], func(f stream.Field) bool { return f.Name == column })
				byHand(t, edit(t.Context(), d, row, n, text))
			},
			Is: sinktest.Guarantees{Guarantees: Spec().Guarantees},
		}
	})
}

// inMemory is a directory that costs nothing to sync, where there is one: the contract syncs tens of thousands of files.
func inMemory(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "jsonfiles")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { byHand(t, os.RemoveAll(dir)) })
	return dir
}

// edit overwrites a column of a row; its version stays.
func edit(ctx context.Context, d directory, row stream.RowID, column int, text string) error {
	return d.Update(ctx, row.Table, row.Document, func(entry []byte) ([]byte, error) {
		var page guard.Page
		if err := json.Unmarshal(entry, &page); err != nil {
			return nil, err
		}
		held := map[string]guard.Item{}
		err := stream.Unmarshal(page.Held, &held)
		held[row.Key].Columns[column] = stream.StringOf(text)
		if err == nil {
			page.Held, err = stream.Marshal(held)
		}
		return jsonOf(page, err)
	})
}

func jsonOf(x any, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	return json.Marshal(x)
}

func byHand(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestReadable: a file says what its document's rows are, to readers that know nothing of Freshet.
func TestReadable(t *testing.T) {
	path := t.TempDir()
	table := stream.Table{Name: "chunks", Columns: []stream.Field{{Name: "n", Type: stream.TypeInt}, {Name: "text", Type: stream.TypeString}}}
	sink, err := guard.OverBuckets(directory(path), guard.TablesOf([]stream.TargetTable{{Table: table}}), guard.Options{})
	byHand(t, err)
	ctx, origin := t.Context(), stream.Origin{Flow: "f", Target: "t", TopicID: "topic", Generation: 1}
	_, err = sink.Open(ctx, origin.Flow, origin.Target)
	byHand(t, err)
	_, err = sink.Assign(ctx, 0, origin)
	byHand(t, err)
	byHand(t, sink.Adopt(ctx, 0, origin, 0))
	rows := []stream.RowWrite{
		{RowID: stream.RowID{Table: "chunks", Document: "page/a.md", Key: "1"}, Version: stream.Version{Generation: 1},
			Columns: []stream.Value{stream.IntOf(7), stream.StringOf("seven")}},
		{RowID: stream.RowID{Table: "chunks", Document: "page/a.md", Key: "2"}, Version: stream.Version{Generation: 1, Offset: 1}, Delete: true},
	}
	byHand(t, sink.Apply(ctx, stream.Batch{To: 2, Units: []stream.Unit{{Document: "page/a.md", Rows: rows}}}))

	files, err := filepath.Glob(filepath.Join(directory(path).bucket("chunks"), "*.json"))
	byHand(t, err)
	if len(files) != 1 {
		t.Fatalf("%d files, want one for the one document", len(files))
	}
	content, err := os.ReadFile(files[0])
	byHand(t, err)
	var page guard.Page
	byHand(t, json.Unmarshal(content, &page))
	got, err := json.Marshal(page.Rows)
	byHand(t, err)
	if want := `{"1":{"n":7,"text":"seven"}}`; page.Document != "page/a.md" || string(got) != want {
		t.Errorf("document %q holds %s, want %s", page.Document, got, want)
	}
}

// TestShort: writing a target is an afternoon's work, as the documentation says.
func TestShort(t *testing.T) {
	const most = 120
	source, err := os.ReadFile("sink.go")
	byHand(t, err)
	if n := bytes.Count(source, []byte("\n")); n >= most {
		t.Errorf("sink.go has %d lines, want fewer than %d: make sinks/guard do more", n, most)
	}
}
