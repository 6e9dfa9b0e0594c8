package opensearch

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/freshet-dev/freshet/sinks/rest"
	"github.com/freshet-dev/freshet/stream"
)

// requestLimit bounds every request, so that a stale one does not outlive guard's tombstones.
const requestLimit = time.Minute

// store is guard.Store over a server.
type store struct {
	server             rest.Server
	username, password stream.Secret
	prefix             string // escaped
	tables             map[string]*table

	opened atomic.Bool // it was open once, so a password that is refused was rotated

}

// Open connects, checks that the server fits, and makes sure of the bookkeeping. See guard.Store.
func (s *store) Open(ctx context.Context) error {
	if err := s.server.Connect(); err != nil {
		return err
	}
	if err := s.check(ctx); err != nil {
		return err
	}
	if err := s.create(ctx, booksRequest(s.books())); err != nil {
		return err
	}
	s.opened.Store(true)
	return nil
}

// Close ends the connections. The store can be opened again.
func (s *store) Close() error { return s.server.Close() }

// request is one request of the REST interface.
type request struct {
	doing, method string
	path          []string // parts, each as it is named
	query         string
	body          []byte
	lines         bool // the body is a JSON value a line
}

// do sends a request and decodes the answer into out, unless that is nil. Errors are classed; those of the server wrap *answered.
func (s *store) do(ctx context.Context, r request, out any) error {
	ctx, cancel := context.WithTimeout(ctx, requestLimit)
	defer cancel()
	asked, err := s.prepare(ctx, r)
	if err != nil {
		return err
	}
	status, text, err := s.server.Do(r.doing, asked)
	switch {
	case err != nil:
		return err
	case status >= http.StatusMultipleChoices:
		return s.failed(r.doing, refusal(status, text))
	case out == nil:
		return nil
	}
	if err := json.Unmarshal(text, out); err != nil {
		return stream.Errorf(stream.Transient, "opensearch: "+r.doing, "the answer is not what OpenSearch sends: %w", err)
	}
	return nil
}

func (s *store) prepare(ctx context.Context, r request) (*http.Request, error) {
	at := s.server.Base()
	for _, part := range r.path {
		at.RawPath = at.EscapedPath() + "/" + url.PathEscape(part)
		at.Path += "/" + part
	}
	at.RawQuery = r.query
	asked, err := http.NewRequestWithContext(ctx, r.method, at.String(), bytes.NewReader(r.body))
	if err != nil {
		return nil, s.server.Outage(r.doing, err)
	}
	if asked.Header.Set("Content-Type", "application/json"); r.lines {
		asked.Header.Set("Content-Type", "application/x-ndjson")
	}
	if s.username.IsZero() && s.password.IsZero() {
		return asked, nil
	}
	// At each request, so that rotated ones heal by themselves.
	var user, password string
	if !s.username.IsZero() {
		user, err = s.username.Resolve()
	}
	if err == nil && !s.password.IsZero() {
		password, err = s.password.Resolve()
	}
	asked.SetBasicAuth(user, password)
	return asked, err
}

// refusal reads what the server says; something before it may say it otherwise.
func refusal(status int, text []byte) *answered {
	var said struct {
		Error json.RawMessage `json:"error"`
	}
	a := &answered{status: status}
	if json.Unmarshal(text, &said) != nil || json.Unmarshal(said.Error, &a.cause) != nil {
		a.cause = &cause{Type: "answer", Reason: fmt.Sprintf("%q", text[:min(len(text), 200)])}
	}
	return a
}

// Vectors of bytes came to the Lucene engine with this version.
const oldestMajor, oldestMinor = 2, 9

// check refuses what is no OpenSearch, one that is too old, and for vectors one without the plugin.
func (s *store) check(ctx context.Context) error {
	const opening = "open target opensearch"
	var about struct {
		Version struct{ Number, Distribution string }
	}
	if err := s.do(ctx, request{doing: "ask for the version", method: http.MethodGet, path: []string{""}}, &about); err != nil {
		return err
	}
	var major, minor int
	_, err := fmt.Sscanf(about.Version.Number, "%d.%d", &major, &minor)
	switch {
	case about.Version.Distribution != "opensearch":
		return stream.Errorf(stream.Usage, opening, "the server says that it is %.40q %.40q; Freshet needs OpenSearch", about.Version.Distribution, about.Version.Number)
	case err != nil || major < oldestMajor || major == oldestMajor && minor < oldestMinor:
		return stream.Errorf(stream.Usage, opening, "the server's version is %.40q; Freshet needs OpenSearch %d.%d or later", about.Version.Number, oldestMajor, oldestMinor)
	}
	return s.checkVectors(ctx, opening)
}

func (s *store) checkVectors(ctx context.Context, opening string) error {
	for _, t := range s.tables {
		if !t.hasVectors() {
			continue
		}
		var plugins []struct{ Component string }
		err := s.do(ctx, request{doing: "ask for the plugins", method: http.MethodGet, path: []string{"_cat", "plugins"}, query: "format=json"}, &plugins)
		if err != nil {
			return err
		}
		for _, p := range plugins {
			if strings.Contains(strings.ToLower(p.Component), "knn") {
				return nil
			}
		}
		return stream.Errorf(stream.Usage, opening, "table %s has vectors, and no node has the plugin opensearch-knn: install it, or leave the vectors out of this target", t.Name)
	}
	return nil
}
