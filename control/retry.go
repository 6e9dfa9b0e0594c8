package control

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"github.com/freshet-dev/freshet/stream"
)

// Which names documents that are to be evaluated again; see kafka.Which.
type Which struct {
	Documents   []string
	Parked      bool // all that are parked
	Quarantined bool // all that are quarantined
}

// Retried says what came of a retry in one process; see kafka.Retried.
type Retried struct {
	Due      int      `json:"due"`
	UnderWay []string `json:"under_way"`
	Live     []string `json:"live"`
	Unread   []string `json:"unread"`
	Unknown  []string `json:"unknown"`
}

// Dropped says what was given up: a document, or a record that names none.
type Dropped struct {
	Document string    `json:"document,omitempty"`
	Record   *Position `json:"record,omitempty"`
}

func (s *Server) retry(w http.ResponseWriter, r *http.Request) {
	which := Which{Parked: r.FormValue("parked") == "true", Quarantined: r.FormValue("quarantined") == "true"}
	which.Documents = r.Form["document"] // FormValue has parsed it
	out, err := s.source.Retry(r.Context(), which)
	answer(w, out.complete(), err)
}

func (s *Server) drop(w http.ResponseWriter, r *http.Request) {
	d := Dropped{Document: r.FormValue("document")}
	if topic := r.FormValue("topic"); topic != "" {
		partition, err1 := strconv.ParseInt(r.FormValue("partition"), 10, 32)
		offset, err2 := strconv.ParseInt(r.FormValue("offset"), 10, 64)
		if err1 != nil || err2 != nil {
			answer(w, nil, stream.Errorf(stream.Usage, "read a record's position", "%q/%q is none", r.FormValue("partition"), r.FormValue("offset")))
			return
		}
		d.Record = &Position{Topic: topic, Partition: int32(partition), Offset: offset}
	}
	answer(w, d, s.source.Drop(r.Context(), d))
}

// complete makes empty lists of absent ones.
func (r Retried) complete() Retried {
	r.UnderWay, r.Live, r.Unread, r.Unknown = some(r.UnderWay), some(r.Live), some(r.Unread), some(r.Unknown)
	return r
}

// Retry has the process make documents due that it holds, and returns once that is committed.
func (c *Client) Retry(ctx context.Context, w Which) (r Retried, err error) {
	q := url.Values{"document": w.Documents}
	if w.Parked {
		q.Set("parked", "true")
	}
	if w.Quarantined {
		q.Set("quarantined", "true")
	}
	err = c.unhurried().json(ctx, http.MethodPost, "/v1/retry", q, &r)
	return r, err
}

// Drop has the process give up what it holds, and returns once that is committed.
func (c *Client) Drop(ctx context.Context, d Dropped) error {
	q := url.Values{"document": {d.Document}}
	if at := d.Record; at != nil {
		q = url.Values{"topic": {at.Topic}, "partition": {strconv.Itoa(int(at.Partition))}, "offset": {strconv.FormatInt(at.Offset, 10)}}
	}
	_, err := c.unhurried().do(ctx, http.MethodPost, "/v1/drop", q, "")
	return err
}
