package feast

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/freshet-dev/freshet/sinks/rest"
	"github.com/freshet-dev/freshet/stream"
)

// requestLimit bounds every request, so that a stale one does not outlive guard's tombstones.
const requestLimit = 2 * time.Minute

// store is guard.Store over a feature server.
type store struct {
	server rest.Server
	token  stream.Secret
	books  *view
	tables map[string]*table

	opened atomic.Bool // it was open once, so a token that is refused was rotated

	mu    sync.Mutex
	walks map[walked]int
}

// Open connects, and makes sure of the bookkeeping, and of the rule that it lives by. See guard.Store.
func (s *store) Open(ctx context.Context) error {
	if err := s.server.Connect(); err != nil {
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

// Close ends the connections. The store can be opened again.
func (s *store) Close() error { return s.server.Close() }

// do sends a request and decodes the answer in JSON into out, unless that is nil. Errors are classed; those of the server wrap *answered.
func (s *store) do(ctx context.Context, doing, path string, body []byte, out any) error {
	ctx, cancel := context.WithTimeout(ctx, requestLimit)
	defer cancel()
	at := s.server.Base()
	at.Path += "/" + path
	asked, err := http.NewRequestWithContext(ctx, http.MethodPost, at.String(), bytes.NewReader(body))
	if err != nil {
		return s.server.Outage(doing, err)
	}
	asked.Header.Set("Content-Type", "application/json")
	rest.Repeatable(asked) // the server closes the connection after each failure
	if !s.token.IsZero() { // at each request, so that a rotated one heals by itself
		text, err := s.token.Resolve()
		if err != nil {
			return err
		}
		asked.Header.Set("Authorization", "Bearer "+text)
	}
	status, text, err := s.server.Do(doing, asked)
	switch {
	case err != nil:
		return err
	case status >= http.StatusMultipleChoices:
		return s.failed(doing, refusal(status, text))
	case out == nil:
		return nil
	}
	if err := json.Unmarshal(text, out); err != nil {
		return stream.Errorf(stream.Transient, "feast: "+doing, "the answer is not what a feature server sends: %w", err)
	}
	return nil
}
