package lancedb

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/freshet-dev/freshet/sinks/rest"
	"github.com/freshet-dev/freshet/stream"
)

// requestLimit bounds every request, so that a stale one does not outlive guard's tombstones.
const requestLimit = 2 * time.Minute

// store is guard.Store over a server.
type store struct {
	server     rest.Server
	key, token stream.Secret
	database   string
	namespace  []string // from the root; each is named as escaped says
	tables     map[string]*table
	books      *place
	fronts     *place // nil where no table rolls out

	opened atomic.Bool // it was open once, so a credential that is refused was rotated

}

// Open connects, and makes sure of the namespace and the bookkeeping. See guard.Store.
func (s *store) Open(ctx context.Context) error {
	if err := s.server.Connect(); err != nil {
		return err
	}
	if err := s.makeNamespace(ctx); err != nil {
		return err
	}
	if err := s.create(ctx, s.books); err != nil {
		return err
	}
	if s.fronts != nil {
		if err := s.create(ctx, s.fronts); err != nil {
			return err
		}
	}
	s.opened.Store(true)
	return nil
}

// Close ends the connections. The store can be opened again.
func (s *store) Close() error { return s.server.Close() }

// The forms of bodies.
const (
	typeJSON  = "application/json"
	typeArrow = "application/vnd.apache.arrow.stream"
)

// request is one request of the protocol: what is to be done with a namespace or table.
type request struct {
	doing  string   // for errors
	kind   string   // namespace or table
	path   []string // its name, from the root
	action string
	query  url.Values
	form   string // of the body
	body   []byte
}

// about is a request with a body in JSON.
func about(doing, kind string, path []string, action string, body any) (request, error) {
	text, err := json.Marshal(body)
	return request{doing: doing, kind: kind, path: path, action: action, form: typeJSON, body: text}, err
}

// of is the name of a table from the root.
func (s *store) of(p *place) []string {
	return append(s.namespace[:len(s.namespace):len(s.namespace)], p.name)
}

// tell asks something of a table in JSON, and decodes the answer into out, unless that is nil.
func (s *store) tell(ctx context.Context, doing string, p *place, action string, body, out any) error {
	r, err := about(doing, "table", s.of(p), action, body)
	if err != nil {
		return err
	}
	return s.do(ctx, r, out)
}

// do sends a request and decodes the answer in JSON into out, unless that is nil. Errors are as send says.
func (s *store) do(ctx context.Context, r request, out any) error {
	text, err := s.send(ctx, r)
	if err != nil || out == nil {
		return err
	}
	if err := json.Unmarshal(text, out); err != nil {
		return stream.Errorf(stream.Transient, "lancedb: "+r.doing, "the answer is not what LanceDB sends: %w", err)
	}
	return nil
}

// send sends a request and returns the answer. Errors are classed; those of the server wrap *answered.
func (s *store) send(ctx context.Context, r request) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, requestLimit)
	defer cancel()
	asked, err := s.prepare(ctx, r)
	if err != nil {
		return nil, err
	}
	status, text, err := s.server.Do(r.doing, asked)
	switch {
	case err != nil:
		return nil, err
	case status >= http.StatusMultipleChoices:
		return nil, s.failed(r.doing, refusal(status, text))
	}
	return text, nil
}

func (s *store) prepare(ctx context.Context, r request) (*http.Request, error) {
	at := s.server.Base()
	at.Path += "/v1/" + r.kind + "/" + strings.Join(r.path, "$") + "/" + r.action
	at.RawQuery = r.query.Encode()
	asked, err := http.NewRequestWithContext(ctx, http.MethodPost, at.String(), bytes.NewReader(r.body))
	if err != nil {
		return nil, s.server.Outage(r.doing, err)
	}
	rest.Repeatable(asked) // what is created may exist already, and merges are guarded
	asked.Header.Set("Content-Type", r.form)
	if len(r.body) > bytesInRequest {
		asked.Header.Set("Expect", "100-continue") // a server that takes no body of this size says so before it is sent
	}
	if s.database != "" {
		asked.Header.Set("x-lancedb-database", s.database)
	}
	// At each request, so that rotated ones heal by themselves.
	for header, secret := range map[string]stream.Secret{"x-api-key": s.key, "Authorization": s.token} {
		if secret.IsZero() {
			continue
		}
		text, err := secret.Resolve()
		if err != nil {
			return nil, err
		}
		if header == "Authorization" {
			text = "Bearer " + text
		}
		asked.Header.Set(header, text)
	}
	return asked, nil
}
