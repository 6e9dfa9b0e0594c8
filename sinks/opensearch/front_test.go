package opensearch_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// front stands before a node: it holds back a write, or refuses some items of it, and asks for a password.
type front struct {
	*httptest.Server

	mu       sync.Mutex
	password string               // "" lets everybody in
	busy     func(id string) bool // items that are not forwarded but answered with status 429
	refused  int                  // items that were
	armed    int                  // the write of rows, counted from the next, that is held back; 0: none
	held     chan struct{}        // closed when it is
	released chan struct{}
}

// newFront stands before the node at a URL, by TLS with a certificate of its own if wanted.
func newFront(t *testing.T, node string, secure bool) *front {
	t.Helper()
	at, err := url.Parse(node)
	must(t, err)
	f := &front{held: make(chan struct{}), released: make(chan struct{})}
	forward := httputil.NewSingleHostReverseProxy(at)
	serve := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !f.admits(r) {
			http.Error(w, "Unauthorized", http.StatusUnauthorized)
			return
		}
		if strings.HasSuffix(r.URL.Path, "notes/_bulk") {
			f.write(t, w, r, forward)
			return
		}
		forward.ServeHTTP(w, r)
	})
	f.Server = httptest.NewUnstartedServer(serve)
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
	user, password, _ := r.BasicAuth()
	return f.password == "" || user == "freshet" && password == f.password
}

func (f *front) asks(password string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.password = password
}

// hold has the nth write of rows from now wait until release.
func (f *front) hold(nth int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.armed = nth
}

func (f *front) release() { close(f.released) }

// write forwards a bulk request, without the items that the node is too busy for.
func (f *front) write(t *testing.T, w http.ResponseWriter, r *http.Request, forward http.Handler) {
	f.mu.Lock()
	hold, busy := f.armed == 1, f.busy
	f.armed = max(0, f.armed-1)
	f.mu.Unlock()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Error(err)
	}
	if hold {
		close(f.held)
		<-f.released
		r = r.Clone(t.Context()) // whoever sent it may be gone by now
	}
	var kept [][]byte
	var items []json.RawMessage
	lines := bytes.Split(bytes.TrimSuffix(body, []byte("\n")), []byte("\n"))
	for n := 0; n+1 < len(lines); n += 2 {
		var action struct {
			Index struct {
				ID string `json:"_id"`
			}
		}
		if json.Unmarshal(lines[n], &action) == nil && busy != nil && busy(action.Index.ID) {
			items = append(items, json.RawMessage(`{"index":{"status":429,"error":{"type":"rejected_execution_exception","reason":"too busy"}}}`))
			continue
		}
		items = append(items, nil)
		kept = append(kept, lines[n], lines[n+1])
	}
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(append(bytes.Join(kept, []byte("\n")), '\n'))), -1
	r.Header.Del("Accept-Encoding") // the answer is read here
	answer := httptest.NewRecorder()
	if len(kept) > 0 {
		forward.ServeHTTP(answer, r)
	}
	f.answer(w, answer, items)
}

// answer puts the items that were not forwarded among those that were.
func (f *front) answer(w http.ResponseWriter, of *httptest.ResponseRecorder, items []json.RawMessage) {
	var reply struct {
		Items []json.RawMessage `json:"items"`
	}
	if of.Code >= 300 || of.Body.Len() > 0 && json.Unmarshal(of.Body.Bytes(), &reply) != nil {
		w.WriteHeader(of.Code)
		_, _ = w.Write(of.Body.Bytes())
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for n, item := range items {
		if item == nil && len(reply.Items) > 0 {
			items[n], reply.Items = reply.Items[0], reply.Items[1:]
		} else {
			f.refused++
		}
	}
	reply.Items = items
	_ = json.NewEncoder(w).Encode(reply)
}
