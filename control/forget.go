package control

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// Forgotten is what a process has forgotten of a document; see kafka.Forgotten.
type Forgotten struct {
	Document  string           `json:"document"`
	Partition int32            `json:"partition"`
	At        time.Time        `json:"at"`
	Rows      map[string]int64 `json:"rows"` // deleted, by table
	Input     int              `json:"input_bytes"`
	Memos     int              `json:"memos"`
	Until     int64            `json:"until"` // rows-topic offset that targets have to reach
}

// Shown is what a target shows of a document, read back from it.
type Shown struct {
	Target string `json:"target"`
	Rows   int64  `json:"rows"`
}

func (s *Server) forget(w http.ResponseWriter, r *http.Request) {
	out, err := s.source.Forget(r.Context(), r.FormValue("document"))
	answer(w, out, err)
}

func (s *Server) shown(w http.ResponseWriter, r *http.Request) {
	target := r.FormValue("target")
	rows, err := s.source.Shown(r.Context(), target, r.FormValue("document"))
	answer(w, Shown{target, rows}, err)
}

// Forget has the process forget a document that it holds, and returns once that is committed.
func (c *Client) Forget(ctx context.Context, document string) (f Forgotten, err error) {
	err = c.unhurried().json(ctx, http.MethodPost, "/v1/forget", url.Values{"document": {document}}, &f)
	return f, err
}

// Shown asks for how many rows of a document a target shows. The process reads all of the target's rows for it.
func (c *Client) Shown(ctx context.Context, target, document string) (s Shown, err error) {
	err = c.unhurried().json(ctx, http.MethodGet, "/v1/shown", url.Values{"target": {target}, "document": {document}}, &s)
	return s, err
}

// unhurried is the client without a limit of time but the context's.
func (c *Client) unhurried() *Client { return &Client{Address: c.Address} }
