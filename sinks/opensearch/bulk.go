package opensearch

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/freshet-dev/freshet/stream"
)

// action is one line of a bulk request that says what is to be done, with its document, nil for a delete.
type action struct {
	Index    *target `json:"index,omitempty"`
	Create   *target `json:"create,omitempty"`
	Delete   *target `json:"delete,omitempty"`
	document []byte
}

// target is the document that an action is about, and its condition: an external version, or the document as it was read.
type target struct {
	ID      string `json:"_id"`
	Version *int64 `json:"version,omitempty"`
	Type    string `json:"version_type,omitempty"`
	SeqNo   *int64 `json:"if_seq_no,omitempty"`
	Term    *int64 `json:"if_primary_term,omitempty"`
}

// above is met when the server knows no version, or an older one.
func above(id string, version int64) *target {
	return &target{ID: id, Version: &version, Type: "external"}
}

// unchanged is met when the document is still the one that was read.
func unchanged(h hit) *target { return &target{ID: h.ID, SeqNo: &h.SeqNo, Term: &h.Term} }

// outcome is what became of one action.
type outcome struct {
	Status int    `json:"status"`
	Error  *cause `json:"error"`
}

// bulk does the actions on the index behind an alias, and returns the outcome of each. Nothing is made when there is no such alias.
func (s *store) bulk(ctx context.Context, doing, alias string, actions []action) ([]outcome, error) {
	var body []byte
	for _, a := range actions {
		line, err := json.Marshal(a)
		if err != nil {
			return nil, err
		}
		if body = append(append(body, line...), '\n'); a.document != nil {
			body = append(append(body, a.document...), '\n')
		}
	}
	var reply struct {
		Items []map[string]outcome `json:"items"`
	}
	err := s.do(ctx, request{doing: doing, method: http.MethodPost, path: []string{alias, "_bulk"}, body: body, lines: true,
		query: "require_alias=true&timeout=10s&filter_path=items.*.status,items.*.error"}, &reply)
	if err != nil {
		return nil, err
	}
	if len(reply.Items) != len(actions) {
		return nil, stream.Errorf(stream.Transient, "opensearch: "+doing, "the answer tells of %d actions, %d were sent", len(reply.Items), len(actions))
	}
	outcomes := make([]outcome, len(actions))
	for n, item := range reply.Items {
		for _, o := range item {
			outcomes[n] = o
		}
	}
	return outcomes, nil
}

// done reports whether the action was done; otherwise err says why not, and is nil when its condition was not met.
func (s *store) done(doing string, o outcome) (done bool, err error) {
	switch {
	case o.Status >= http.StatusOK && o.Status < http.StatusMultipleChoices:
		return true, nil
	case o.Status == http.StatusConflict:
		return false, nil
	}
	return false, s.failed(doing, &answered{o.Status, o.Error})
}

// hit is a document as it is found.
type hit struct {
	ID     string  `json:"_id"`
	Found  bool    `json:"found"` // when it was asked for by its ID
	SeqNo  int64   `json:"_seq_no"`
	Term   int64   `json:"_primary_term"`
	Score  float64 `json:"_score"`
	Source source  `json:"_source"`
	Error  *cause  `json:"error"`
}

// get reads documents by their IDs, as they are now, in the order asked for.
func (s *store) get(ctx context.Context, doing, index string, ids, fields []string) ([]hit, error) {
	body, err := json.Marshal(struct {
		IDs []string `json:"ids"`
	}{ids})
	if err != nil {
		return nil, err
	}
	r := request{doing: doing, method: http.MethodPost, path: []string{index, "_mget"}, body: body}
	for n, f := range fields {
		if r.query += ","; n == 0 {
			r.query = "_source_includes="
		}
		r.query += f
	}
	var reply struct {
		Docs []hit `json:"docs"`
	}
	if err := s.do(ctx, r, &reply); err != nil {
		return nil, err
	}
	for _, d := range reply.Docs {
		if d.Error != nil {
			return nil, s.failed(doing, &answered{http.StatusServiceUnavailable, d.Error})
		}
	}
	if len(reply.Docs) != len(ids) {
		return nil, stream.Errorf(stream.Transient, "opensearch: "+doing, "the answer tells of %d documents of %d", len(reply.Docs), len(ids))
	}
	return reply.Docs, nil
}
