package lancedb_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// front stands before a server: it holds writes back, answers them otherwise, loses answers, and asks for credentials.
type front struct {
	*httptest.Server

	mu       sync.Mutex
	key      string                                    // "" lets everybody in
	instead  func(table string, size int) (status int) // of a write that is not forwarded; 0 forwards it
	lose     func(table string) bool                   // the write is done, and its answer lost
	seen     []http.Header                             // of every request
	armed    bool                                      // the next write of rows is held back
	held     chan struct{}                             // closed when it is
	released chan struct{}
}

// newFront stands before the server at a URL, by TLS with a certificate of its own if wanted.
func newFront(t *testing.T, server string, secure bool) *front {
	t.Helper()
	at, err := url.Parse(server)
	must(t, err)
	f := &front{held: make(chan struct{}), released: make(chan struct{})}
	forward := httputil.NewSingleHostReverseProxy(at)
	f.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch table, write := strings.CutSuffix(r.URL.Path, "/merge_insert"); {
		case !f.admits(r):
			http.Error(w, `{"error":"who are you","code":16}`, http.StatusUnauthorized)
		case write:
			f.write(w, r, table[strings.LastIndex(table, "$")+1:], forward)
		default:
			forward.ServeHTTP(w, r)
		}
	}))
	if secure {
		f.StartTLS()
	} else {
		f.Start()
	}
	t.Cleanup(f.Close)
	return f
}

func (f *front) admits(r *http.Request) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen = append(f.seen, r.Header)
	return f.key == "" || r.Header.Get("X-Api-Key") == f.key && r.Header.Get("Authorization") == "Bearer token-of-"+f.key
}

func (f *front) asks(key string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.key = key
}

// hold has the next write of rows wait until release.
func (f *front) hold() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.armed = true
}

func (f *front) release() { close(f.released) }

// fail answers the writes that come as it says.
func (f *front) fail(instead func(table string, size int) int, lose func(table string) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.instead, f.lose = instead, lose
}

func (f *front) write(w http.ResponseWriter, r *http.Request, table string, forward http.Handler) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	status, lose := f.fate(table, len(body))
	if status > 0 {
		http.Error(w, `{"error":"not now","code":17}`, status)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	if f.holds(table) {
		close(f.held)
		<-f.released
		r = r.Clone(context.WithoutCancel(r.Context())) // whoever sent it may be gone by now
	}
	if lose {
		forward.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	}
	forward.ServeHTTP(w, r)
}

func (f *front) fate(table string, size int) (status int, lose bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.instead != nil {
		status = f.instead(table, size)
	}
	return status, status == 0 && f.lose != nil && f.lose(table)
}

func (f *front) holds(table string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	hold := f.armed && table == "notes"
	f.armed = f.armed && !hold
	return hold
}
