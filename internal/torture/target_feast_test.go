//go:build long

package torture

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"testing"

	"github.com/freshet-dev/freshet/internal/testenv"
	"github.com/freshet-dev/freshet/stream"
)

// feastPages is how many pages list the rows of a table.
const feastPages = 32

// feastTarget is Feast's own feature server over a Redis server, both of which can be killed. Each replica reaches it by a link of its own, which can
// hold a request back.
type feastTarget struct {
	*links
	flow         string
	server       *testenv.FeastServer
	docs, chunks testenv.FeastView
	kills        int
}

func newFeast(t *testing.T, r *rig) target {
	t.Helper()
	v := &feastTarget{flow: r.name, server: testenv.Feast(t),
		docs:   testenv.FeastRows("docs", map[string]string{"id": "Int64", "rev": "Int64", "parts": "Int64"}),
		chunks: testenv.FeastRows("chunks", map[string]string{"id": "Int64", "rev": "Int64", "text": "String", "embedding": "Array(Float32)"})}
	v.server.Apply(t, testenv.FeastBooks("freshet"), v.docs, v.chunks)
	at, err := url.Parse(v.server.URL())
	must(t, err)
	v.links = newLinks(t, at.Host)
	return v
}

func (*feastTarget) name() string { return "feast" }

// whole is false: a document's rows become visible one by one.
func (*feastTarget) whole() bool { return false }

func (*feastTarget) block() string {
	return fmt.Sprintf(`{ feast: { url: "env:TORTURE_FEAST" }, tables: { docs: { pages: %d }, chunks: { pages: %d } } }`, feastPages, feastPages)
}

func (v *feastTarget) env(ordinal int) []string {
	return []string{"TORTURE_FEAST=http://" + v.link(ordinal).listener.Addr().String()}
}

// restart kills the feature server and its store in turn.
func (v *feastTarget) restart(t *testing.T) {
	t.Helper()
	if v.kills++; v.kills%2 == 0 {
		v.server.Store().Kill()
		v.server.Store().Start(t)
		return
	}
	v.server.Kill()
	v.server.Start(t)
}

// rows asks for the features of all rows that are listed, as anybody who knows their keys does. What a killed server causes is transient.
func (v *feastTarget) rows(ctx context.Context, _ bool) (all []row, err error) {
	for _, view := range []testenv.FeastView{v.docs, v.chunks} {
		keys, err := v.server.Listed(ctx, "freshet", view.View, feastPages)
		for some := range slices.Chunk(keys, 256) {
			var found []testenv.FeastRow
			if err == nil {
				found, err = v.server.Online(ctx, view, some...)
			}
			for _, f := range found {
				one, there, wrong := feastRow(view.View, f)
				if err = errors.Join(err, wrong); there {
					all = append(all, one)
				}
			}
		}
		if err != nil {
			return nil, &stream.Error{Op: "read Feast", Kind: stream.Transient, Err: err}
		}
	}
	return all, nil
}

func feastRow(table string, f testenv.FeastRow) (r row, there bool, err error) {
	text, err := json.Marshal(f.Features)
	if err != nil {
		return r, false, err
	}
	var held struct {
		Document string `json:"_document"`
		Key      string `json:"_key"`
		Version  int64  `json:"_version"`
		Deleted  bool   `json:"_deleted"`

		ID, Rev, Parts int64
		Text           string
		Embedding      []float32
	}
	if err := json.Unmarshal(text, &held); err != nil {
		return r, false, fmt.Errorf("%s: %w", text, err)
	}
	return row{table: table, document: held.Document, key: held.Key, version: held.Version, id: held.ID, rev: held.Rev, parts: held.Parts, text: held.Text,
		vector: held.Embedding}, !f.At.IsZero() && !held.Deleted, nil
}

// applied reads the bookkeeping, where each partition has a document in JSON.
func (v *feastTarget) applied(ctx context.Context) (map[int32]int64, error) {
	at := map[int32]int64{}
	for p := range partitions {
		body, err := v.server.Document(ctx, "freshet", fmt.Sprintf("freshet/place/%s/%s/%d", v.flow, v.name(), p))
		if err != nil {
			return nil, &stream.Error{Op: "read Feast", Kind: stream.Transient, Err: err}
		}
		var place struct {
			Partition int32
			Next      int64
		}
		if body == "" {
			continue
		}
		if err := json.Unmarshal([]byte(body), &place); err != nil {
			return nil, fmt.Errorf("%s: %w", body, err)
		}
		at[place.Partition] = place.Next
	}
	return at, nil
}

// freezeInside stops a replica whose rows are on their way: they come to the server when another has taken over and has written more.
func (v *feastTarget) freezeInside(t *testing.T, x *replica) (thaw func()) {
	t.Helper()
	return v.freeze(t, x, `{"push_source_name":"chunks"`, v.applied)
}

// evict does nothing: the server waits for nobody.
func (*feastTarget) evict(context.Context, *testing.T, *replica) {}
