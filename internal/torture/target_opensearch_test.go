package torture

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/freshet-dev/freshet/internal/testenv"
	"github.com/freshet-dev/freshet/stream"
)

// openSearchTarget is a real OpenSearch node, which can be killed; every write is on disk before it is answered. Each replica reaches it by a link of
// its own, which can hold a request back.
type openSearchTarget struct {
	*links
	flow   string
	server *testenv.OpenSearchServer
}

func newOpenSearch(t *testing.T, r *rig) target {
	t.Helper()
	v := &openSearchTarget{flow: r.name, server: testenv.OpenSearch(t)}
	at, err := url.Parse(v.server.URL())
	must(t, err)
	v.links = newLinks(t, at.Host)
	return v
}

func (*openSearchTarget) name() string { return "opensearch" }

// whole is false: a document's rows become visible one by one.
func (*openSearchTarget) whole() bool { return false }

func (*openSearchTarget) block() string {
	return `{ opensearch: { url: "env:TORTURE_OPENSEARCH" }, tables: { docs: { replicas: 0 }, chunks: { replicas: 0 } } }`
}

func (v *openSearchTarget) env(ordinal int) []string {
	return []string{"TORTURE_OPENSEARCH=http://" + v.link(ordinal).listener.Addr().String()}
}

func (v *openSearchTarget) restart(t *testing.T) {
	t.Helper()
	v.server.Kill()
	v.server.Start(t)
}

// document is what a search finds: a row, or bookkeeping.
type document struct {
	Freshet struct {
		Document, Key string
		Version       int64
	} `json:"_freshet"`
	ID, Rev, Parts int64
	Text           string
	Embedding      []float32
	Name, Body     string
}

// search refreshes what is behind an alias, so that all that was written is found, and returns all of it; nothing while there is no alias. What a killed
// node causes is transient.
func (v *openSearchTarget) search(ctx context.Context, alias, body string) ([]document, error) {
	if status, _, err := v.post(ctx, alias+"/_refresh", ""); err != nil || status == http.StatusNotFound {
		return nil, err
	}
	_, text, err := v.post(ctx, alias+"/_search?allow_partial_search_results=false", body)
	if err != nil {
		return nil, err
	}
	var found struct {
		Hits struct {
			Total struct{ Value int }
			Hits  []struct {
				Source document `json:"_source"`
			}
		}
	}
	if err := json.Unmarshal(text, &found); err != nil {
		return nil, err
	}
	all := make([]document, len(found.Hits.Hits))
	for i, h := range found.Hits.Hits {
		all[i] = h.Source
	}
	if len(all) != found.Hits.Total.Value {
		return nil, fmt.Errorf("%s has %d documents, of which one page shows %d", alias, found.Hits.Total.Value, len(all))
	}
	return all, nil
}

func (v *openSearchTarget) post(ctx context.Context, path, body string) (status int, text []byte, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, v.server.URL()+"/"+path, strings.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(request)
	if err == nil {
		defer answer.Body.Close()
		text, err = io.ReadAll(answer.Body)
	}
	switch {
	case err != nil:
		return 0, nil, &stream.Error{Op: "read OpenSearch", Kind: stream.Transient, Err: err}
	case answer.StatusCode == http.StatusOK, answer.StatusCode == http.StatusNotFound:
		return answer.StatusCode, text, nil
	case answer.StatusCode >= http.StatusInternalServerError:
		return 0, nil, stream.Errorf(stream.Transient, "read OpenSearch", "%s gives %s: %.300s", path, answer.Status, text)
	}
	return 0, nil, fmt.Errorf("%s gives %s: %.300s", path, answer.Status, text)
}

// rows asks for all documents of both tables as anybody can, by their aliases, which hide tombstones.
func (v *openSearchTarget) rows(ctx context.Context, vectors bool) (all []row, err error) {
	fields := `"_freshet","id","rev","parts","text"`
	if vectors {
		fields += `,"embedding"`
	}
	for _, table := range []string{"docs", "chunks"} {
		found, err := v.search(ctx, table, `{"size":10000,"track_total_hits":true,"_source":[`+fields+`]}`)
		if err != nil {
			return nil, err
		}
		for _, d := range found {
			all = append(all, row{table: table, document: d.Freshet.Document, key: d.Freshet.Key, version: d.Freshet.Version, id: d.ID, rev: d.Rev,
				parts: d.Parts, text: d.Text, vector: d.Embedding})
		}
	}
	return all, nil
}

// applied reads the bookkeeping, where each partition has a document in JSON.
func (v *openSearchTarget) applied(ctx context.Context) (map[int32]int64, error) {
	found, err := v.search(ctx, "freshet", `{"size":1000,"track_total_hits":true}`)
	if err != nil {
		return nil, err
	}
	at := map[int32]int64{}
	for _, d := range found {
		if !strings.HasPrefix(d.Name, "freshet/place/"+v.flow+"/"+v.name()+"/") {
			continue
		}
		var place struct {
			Partition int32
			Next      int64
		}
		if err := json.Unmarshal([]byte(d.Body), &place); err != nil {
			return nil, fmt.Errorf("%s: %w", d.Name, err)
		}
		at[place.Partition] = place.Next
	}
	return at, nil
}

// freezeInside stops a replica whose rows are on their way: they come to the node when another has taken over and has written more.
func (v *openSearchTarget) freezeInside(t *testing.T, x *replica) (thaw func()) {
	t.Helper()
	return v.freeze(t, x, "POST /chunks/_bulk", v.applied)
}

// evict does nothing: the node waits for nobody.
func (*openSearchTarget) evict(context.Context, *testing.T, *replica) {}
