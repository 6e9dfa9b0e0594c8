package feast

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/trust"
)

// requestLimit bounds every request, so that a stale one does not outlive guard's tombstones.
const requestLimit = 2 * time.Minute

// maxAnswer is in bytes: rows of the largest size.
const maxAnswer = 1 << 30

// store is guard.Store over a feature server.
type store struct {
	url, token stream.Secret
	ca         string // path; "" for the system's certificates
	books      *view
	tables     map[string]*table

	opened atomic.Bool // it was open once, so a token that is refused was rotated

	mu     sync.Mutex
	client *http.Client
	base   *url.URL
	walks  map[walked]int
}

// Open connects, and makes sure of the bookkeeping, and of the rule that it lives by. See guard.Store.
func (s *store) Open(ctx context.Context) error {
	if err := s.connect(); err != nil {
		return err
	}
	if s.opened.Load() {
		return nil
	}
	if err := s.prove(ctx); err != nil {
		return err
	}
	s.opened.Store(true)
	return nil
}

func (s *store) connect() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client != nil {
		return nil
	}
	text, err := s.url.Resolve()
	if err != nil {
		return err
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		// not wrapped: the cause quotes the URL
		return stream.Errorf(stream.Usage, configuring, "setting url (%s) does not lead to a URL of the form https://host:port without a user; "+
			"a token has a setting of its own", s.url)
	}
	transport := &http.Transport{DialContext: (&net.Dialer{Timeout: 5 * time.Second}).DialContext, TLSHandshakeTimeout: 10 * time.Second,
		IdleConnTimeout: 3 * time.Second, MaxIdleConnsPerHost: 16, ForceAttemptHTTP2: true, Proxy: http.ProxyFromEnvironment} // uvicorn hangs up after five
	if u.Scheme == "https" {
		if transport.TLSClientConfig, err = trust.Config(configuring, s.ca); err != nil {
			return err
		}
	}
	u.Path = strings.TrimRight(u.Path, "/")
	s.base = u
	s.client = &http.Client{Transport: transport, // the token goes to the server that was named, and to no other
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return nil
}

// Close ends the connections. The store can be opened again.
func (s *store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client != nil {
		s.client.CloseIdleConnections()
		s.client = nil
	}
	return nil
}

// do sends a request and decodes the answer in JSON into out, unless that is nil. Errors are classed; those of the server wrap *answered.
func (s *store) do(ctx context.Context, doing, path string, body []byte, out any) error {
	ctx, cancel := context.WithTimeout(ctx, requestLimit)
	defer cancel()
	at := *s.base
	at.Path += "/" + path
	asked, err := http.NewRequestWithContext(ctx, http.MethodPost, at.String(), bytes.NewReader(body))
	if err != nil {
		return classed(doing, err)
	}
	asked.Header.Set("Content-Type", "application/json")
	asked.Header["Idempotency-Key"] = nil // not sent: asked again when a connection was closed, as the server does after each failure; nothing is done twice
	if !s.token.IsZero() {                // at each request, so that a rotated one heals by itself
		text, err := s.token.Resolve()
		if err != nil {
			return err
		}
		asked.Header.Set("Authorization", "Bearer "+text)
	}
	answer, err := s.client.Do(asked)
	if err != nil {
		return classed(doing, err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	switch {
	case err != nil:
		return classed(doing, err)
	case answer.StatusCode >= http.StatusMultipleChoices:
		return s.failed(doing, refusal(answer.StatusCode, text))
	case out == nil:
		return nil
	}
	if err := json.Unmarshal(text, out); err != nil {
		return stream.Errorf(stream.Transient, "feast: "+doing, "the answer is not what a feature server sends: %w", err)
	}
	return nil
}
