//go:build bench

package sinks

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"

	receiver "github.com/freshet-dev/freshet/examples/webhook-receiver"
	"github.com/freshet-dev/freshet/sinks/webhook"
)

// webhookContest has the receiver of the examples, and a bare one that writes what it gets to an SQLite file as well, each POST in one transaction.
func webhookContest(t *testing.T, k kind) contest {
	t.Helper()
	dir := t.TempDir()
	guarded, err := receiver.Open(filepath.Join(dir, "guarded.db"))
	must(t, err)
	server := httptest.NewServer(guarded)
	t.Cleanup(func() {
		server.Close()
		must(t, guarded.Close())
	})
	return contest{size: size{1000, 6, 10_000}, sink: newSink(t, webhook.Spec(), settings(text("url", server.URL)), k),
		same: poster(t, filepath.Join(dir, "bare.db"), k, true), columns: poster(t, filepath.Join(dir, "columns.db"), k, false)}
}

// posted is a row on its way to a bare receiver.
type posted struct {
	Document, Key, Path, Text string
	N, Version                int64
	Embedding                 []float32       `json:",omitempty"`
	Lineage                   json.RawMessage `json:",omitempty"`
}

func poster(t *testing.T, path string, k kind, whole bool) writer {
	t.Helper()
	write := inserter(t, path, k, whole)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var all []posted
		err := json.NewDecoder(r.Body).Decode(&all)
		rows := make([]row, len(all))
		for i, p := range all {
			rows[i] = row{document: p.Document, key: p.Key, offset: p.Version, n: p.N, path: p.Path, text: p.Text, vector: p.Embedding}
		}
		if err == nil {
			err = write(r.Context(), rows)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		_, _ = w.Write([]byte("{}"))
	}))
	t.Cleanup(server.Close)
	return func(ctx context.Context, rows []row) error {
		all := make([]posted, len(rows))
		for i, r := range rows {
			all[i] = posted{Document: r.document, Key: r.key, Path: r.path, Text: r.text, N: r.n, Embedding: r.vector}
			if whole {
				all[i].Version, all[i].Lineage = r.offset, json.RawMessage(lineage)
			}
		}
		body, err := json.Marshal(all)
		if err != nil {
			return err
		}
		return ask(ctx, http.MethodPost, server.URL, body)
	}
}
