//go:build bench

package sinks

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/freshet-dev/freshet/internal/testenv"
	"github.com/freshet-dev/freshet/sinks/opensearch"
)

// openSearchContest has a bare client that indexes all documents of a batch by one bulk request, whatever is there.
func openSearchContest(t *testing.T, k kind) contest {
	t.Helper()
	server := testenv.SharedOpenSearch(t)
	prefix := strings.ToLower(testenv.Name(t)) + "-"
	t.Cleanup(func() {
		_ = ask(context.WithoutCancel(t.Context()), http.MethodDelete, server.URL()+"/"+prefix+"*", nil)
	})
	bare := func(name string, whole bool) writer {
		mapping := `"n": {"type": "long"}, "path": {"type": "text"}, "text": {"type": "text"}, "document": {"type": "keyword"}, "key": {"type": "keyword"},
			"version": {"type": "long"}, "partition": {"type": "integer"}, "lineage": {"type": "object", "enabled": false}`
		if k.dims > 0 {
			mapping += fmt.Sprintf(`, "embedding": {"type": "knn_vector", "dimension": %d, "method": {"name": "hnsw", "engine": "lucene", "space_type": "cosinesimil"}}`, k.dims)
		}
		made := `{"settings": {"index": {"knn": true, "number_of_replicas": 0}}, "mappings": {"properties": {` + mapping + `}}}`
		must(t, ask(t.Context(), http.MethodPut, server.URL()+"/"+prefix+name, []byte(made)))
		return func(ctx context.Context, rows []row) error {
			var body bytes.Buffer
			for _, r := range rows {
				id, document := map[string]any{"index": map[string]string{"_id": r.document + " " + r.key}}, fields(r, whole)
				for _, line := range []map[string]any{id, document} {
					if err := json.NewEncoder(&body).Encode(line); err != nil {
						return err
					}
				}
			}
			return ask(ctx, http.MethodPost, server.URL()+"/"+prefix+name+"/_bulk", body.Bytes())
		}
	}
	return contest{size: size{512, 6, 2048}, sink: newSink(t, opensearch.Spec(), settings(text("url", server.URL()), text("prefix", prefix)), k),
		same: bare("bare", true), columns: bare("columns", false)}
}

// ask sends a request of JSON and fails when the answer says that it, or a part of it, failed.
func ask(ctx context.Context, method, url string, body []byte) error {
	r, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	said, err := io.ReadAll(answer.Body)
	if err == nil && (answer.StatusCode >= http.StatusMultipleChoices || bytes.Contains(said, []byte(`"errors":true`))) {
		err = fmt.Errorf("%s %s: %.300s", method, answer.Status, said)
	}
	return err
}
