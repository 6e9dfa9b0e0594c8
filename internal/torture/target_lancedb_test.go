package torture

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"testing"

	"github.com/freshet-dev/freshet/internal/testenv"
	"github.com/freshet-dev/freshet/stream"
)

// lanceTarget is Lance's own server, which can be killed, and beside which the tables are compacted all the time. Each replica reaches it by a link of its own, which can hold a request back.
type lanceTarget struct {
	*links
	flow   string
	server *testenv.LanceServer
}

func newLance(t *testing.T, r *rig) target {
	t.Helper()
	v := &lanceTarget{flow: r.name, server: testenv.Lance(t)}
	v.server.KeepCompact(t)
	at, err := url.Parse(v.server.URL())
	must(t, err)
	v.links = newLinks(t, at.Host)
	return v
}

func (*lanceTarget) name() string { return "lancedb" }

// whole is false: each table shows what is committed to it.
func (*lanceTarget) whole() bool { return false }

func (*lanceTarget) block() string {
	return `{ lancedb: { url: "env:TORTURE_LANCEDB" }, tables: [docs, chunks] }`
}

func (v *lanceTarget) env(ordinal int) []string {
	return []string{"TORTURE_LANCEDB=http://" + v.link(ordinal).listener.Addr().String()}
}

func (v *lanceTarget) restart(t *testing.T) {
	t.Helper()
	v.server.Kill()
	v.server.Start(t)
}

// query returns rows of a table; none while it is not there. What a killed server causes is transient.
func (v *lanceTarget) query(ctx context.Context, table, filter string, columns ...string) ([]json.RawMessage, error) {
	found, err := v.server.Table(table).Query(ctx, filter, columns...)
	var refusal *testenv.LanceRefusal
	switch refused := errors.As(err, &refusal); {
	case refused && refusal.Status == http.StatusNotFound:
		return nil, nil
	case err != nil && (!refused || refusal.Status >= http.StatusInternalServerError):
		return nil, &stream.Error{Op: "read LanceDB", Kind: stream.Transient, Err: err}
	}
	return found, err
}

// rows asks for all rows but tombstones, as anybody has to.
func (v *lanceTarget) rows(ctx context.Context, vectors bool) (all []row, err error) {
	own := []string{"_document", "_key", "_version", "id", "rev"}
	columns := map[string][]string{"docs": append(own[:len(own):len(own)], "parts"), "chunks": append(own[:len(own):len(own)], "text")}
	if vectors {
		columns["chunks"] = append(columns["chunks"], "embedding")
	}
	for _, table := range []string{"docs", "chunks"} {
		found, err := v.query(ctx, table, "_deleted = false", columns[table]...)
		if err != nil {
			return nil, err
		}
		for _, text := range found {
			var held struct {
				Document string `json:"_document"`
				Key      string `json:"_key"`
				Version  int64  `json:"_version"`

				ID, Rev, Parts int64
				Text           string
				Embedding      []float32
			}
			if err := json.Unmarshal(text, &held); err != nil {
				return nil, fmt.Errorf("%s: %w", text, err)
			}
			all = append(all, row{table: table, document: held.Document, key: held.Key, version: held.Version, id: held.ID, rev: held.Rev,
				parts: held.Parts, text: held.Text, vector: held.Embedding})
		}
	}
	return all, nil
}

// applied reads the bookkeeping, where each partition has a document in JSON.
func (v *lanceTarget) applied(ctx context.Context) (map[int32]int64, error) {
	found, err := v.query(ctx, "freshet", "starts_with(name, 'freshet/place/"+v.flow+"/"+v.name()+"/')", "body")
	at := map[int32]int64{}
	for _, text := range found {
		var held struct{ Body []byte }
		var place struct {
			Partition int32
			Next      int64
		}
		if err := errors.Join(json.Unmarshal(text, &held), json.Unmarshal(held.Body, &place)); err != nil {
			return nil, fmt.Errorf("%s: %w", text, err)
		}
		at[place.Partition] = place.Next
	}
	return at, err
}

// freezeInside stops a replica whose rows are on their way: they come to the server when another has taken over and has written more.
func (v *lanceTarget) freezeInside(t *testing.T, x *replica) (thaw func()) {
	t.Helper()
	return v.freeze(t, x, "POST /v1/table/chunks/merge_insert", v.applied)
}

// evict does nothing: the server waits for nobody.
func (*lanceTarget) evict(context.Context, *testing.T, *replica) {}
