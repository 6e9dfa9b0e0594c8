package control

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/freshet-dev/freshet/stream"
)

// Client asks one process. Errors are ErrNotHere, of kind Usage when the request is at fault, else Transient.
type Client struct {
	Address string // host:port
	http    http.Client
}

// NewClient returns a client of the process at an address.
func NewClient(address string) *Client {
	return &Client{Address: address, http: http.Client{Timeout: time.Minute}}
}

// Status asks what the process does.
func (c *Client) Status(ctx context.Context) (s Status, err error) {
	err = c.json(ctx, http.MethodGet, "/v1/status", nil, &s)
	return s, err
}

// Documents asks for a page of the documents that the process holds.
func (c *Client) Documents(ctx context.Context, q Query) (d Documents, err error) {
	v := url.Values{"status": {q.Status}, "after": {q.After}}
	if q.Limit > 0 {
		v.Set("limit", strconv.Itoa(q.Limit))
	}
	err = c.json(ctx, http.MethodGet, "/v1/documents", v, &d)
	return d, err
}

// Document asks for one document.
func (c *Client) Document(ctx context.Context, id string) (d Detail, err error) {
	err = c.json(ctx, http.MethodGet, "/v1/documents/"+url.PathEscape(id), nil, &d)
	return d, err
}

// Input asks for a document's stored input, exactly.
func (c *Client) Input(ctx context.Context, id string) (stream.Value, error) {
	b, err := c.do(ctx, http.MethodGet, "/v1/documents/"+url.PathEscape(id), nil, typeCBOR)
	if err != nil {
		return stream.Value{}, err
	}
	return stream.DecodeValue(b)
}

// Search asks for the rows of a target that are nearest to a text.
func (c *Client) Search(ctx context.Context, q SearchQuery) (r SearchResult, err error) {
	v := url.Values{"target": {q.Target}, "table": {q.Table}, "column": {q.Column}, "text": {q.Text}, "k": {strconv.Itoa(q.K)}}
	err = c.json(ctx, http.MethodGet, "/v1/search", v, &r)
	return r, err
}

// Rebuild begins to rebuild what the process delivers of a target, of those partitions, none named: of all.
func (c *Client) Rebuild(ctx context.Context, target string, partitions ...int32) error {
	q := url.Values{"target": {target}}
	for _, p := range partitions {
		q.Add("partition", strconv.Itoa(int(p)))
	}
	_, err := c.do(ctx, http.MethodPost, "/v1/rebuild", q, "")
	return err
}

func (c *Client) json(ctx context.Context, method, path string, q url.Values, into any) error {
	b, err := c.do(ctx, method, path, q, "")
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, into); err != nil {
		return &stream.Error{Op: "read the answer of " + c.Address, Kind: stream.Transient, Err: err}
	}
	return nil
}

func (c *Client) do(ctx context.Context, method, path string, q url.Values, accept string) ([]byte, error) {
	op := "ask the process at " + c.Address
	r, err := http.NewRequestWithContext(ctx, method, "http://"+c.Address+path+"?"+q.Encode(), nil)
	if err != nil {
		return nil, &stream.Error{Op: op, Kind: stream.Usage, Err: err}
	}
	if accept != "" {
		r.Header.Set("Accept", accept)
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return nil, &stream.Error{Op: op, Kind: stream.Transient, Err: err}
	}
	defer resp.Body.Close() //nolint:errcheck // read to its end, or given up
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, &stream.Error{Op: op, Kind: stream.Transient, Err: err}
	}
	return b, refusal(op, resp.StatusCode, b)
}

// refusal turns an answer's code into the error that the process meant.
func refusal(op string, code int, body []byte) error {
	if code == http.StatusOK {
		return nil
	}
	f := failure{Error: "HTTP status " + strconv.Itoa(code)}
	_ = json.Unmarshal(body, &f) // not ours: the code must do
	switch code {
	case http.StatusNotFound:
		return fmt.Errorf("%s: %w", op, ErrNotHere)
	case http.StatusBadRequest, http.StatusForbidden:
		return stream.Errorf(stream.Usage, op, "%s", f.Error)
	}
	return stream.Errorf(stream.Transient, op, "%s", f.Error)
}
