package feast_test

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/freshet-dev/freshet/internal/testenv"
	"github.com/freshet-dev/freshet/sinks/sinktest"
	"github.com/freshet-dev/freshet/stream"
)

func bigInt(n int64) *big.Int { return big.NewInt(n) }

// front stands before a server: it holds pushes of rows back, answers pushes otherwise, loses answers, and asks for a token.
type front struct {
	*httptest.Server

	mu       sync.Mutex
	token    string                                    // "" lets everybody in
	fate     func(view string) (status int, lose bool) // of a push; 0 forwards it, and its answer may be lost
	hold     string                                    // the view of which the next push is held back
	held     chan struct{}                             // closed when it is
	released chan struct{}
}

func newFront(t *testing.T, server string, secure bool) *front {
	t.Helper()
	at, err := url.Parse(server)
	must(t, err)
	f := &front{held: make(chan struct{}), released: make(chan struct{})}
	forward := httputil.NewSingleHostReverseProxy(at)
	f.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !f.admits(r):
			http.Error(w, `{"detail":"who are you"}`, http.StatusUnauthorized)
		case r.URL.Path == "/push":
			f.push(w, r, forward)
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
	return f.token == "" || r.Header.Get("Authorization") == "Bearer "+f.token
}

func (f *front) set(change func(*front)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

func (f *front) push(w http.ResponseWriter, r *http.Request, forward http.Handler) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	var pushed struct {
		View string `json:"push_source_name"`
	}
	if json.Unmarshal(body, &pushed) != nil {
		panic(http.ErrAbortHandler)
	}
	f.mu.Lock()
	status, lose := 0, false
	if f.fate != nil {
		status, lose = f.fate(pushed.View)
	}
	hold := f.hold == pushed.View
	if hold {
		f.hold = ""
	}
	f.mu.Unlock()
	if status > 0 {
		http.Error(w, `"not now"`, status)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	if hold {
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

// late lets a writer's push to a view come when its successor has written on.
func late(t *testing.T, view func(*place) string) {
	p := newPlace(t)
	f := newFront(t, p.url, false)
	zombie := p.by(f.URL).scribe(t)
	zombie.Apply("a=1", "b=1")
	f.set(func(f *front) { f.hold = view(p) })
	b, done := zombie.Batch("a=2", "b=2"), make(chan error, 1)
	go func() { done <- zombie.Sink.Apply(context.WithoutCancel(t.Context()), b) }()
	<-f.held
	heir := p.scribe(t)
	heir.Apply("a=2", "b=2", "a=3", "b")
	close(f.released)
	wants(t, <-done, stream.Fenced, "")
	heir.Holds("a=3@4")
	heir.Apply("b=3")
	heir.Holds("a=3@4", "b=3@6")
}

// TestLateRows: the rows of a writer that was stopped arrive when its successor has written newer ones, and tombstones: they lose.
func TestLateRows(t *testing.T) { late(t, func(p *place) string { return p.view("notes") }) }

// TestLatePages: its pages arrive then, and lose too.
func TestLatePages(t *testing.T) { late(t, func(p *place) string { return p.name }) }

// TestLateRowsOfTheSameVersion: the rows carry the very versions that a rebuild has just met. Were they written again under the old epoch, the end of
// the rebuild would take the rows for ones that the topic no longer has.
func TestLateRowsOfTheSameVersion(t *testing.T) {
	p := newPlace(t)
	f := newFront(t, p.url, false)
	zombie := p.by(f.URL).scribe(t)
	zombie.Apply("a=1")
	f.set(func(f *front) { f.hold = p.name })
	b, done := zombie.Batch("b=1", "c=1"), make(chan error, 1)
	go func() { done <- zombie.Sink.Apply(context.WithoutCancel(t.Context()), b) }()
	<-f.held
	heir := p.scribe(t)
	heir.Apply("b=1", "c=1")
	must(t, heir.Sink.StartRebuild(t.Context(), 0, 3))
	heir.Next = 0
	must(t, heir.Sink.Stage(t.Context(), heir.Batch("a=1", "b=1", "c=1")))
	close(f.released)
	wants(t, <-done, stream.Fenced, "")
	must(t, heir.Sink.Switch(t.Context(), 0, 3))
	heir.Holds("a=1@0", "b=1@1", "c=1@2")
}

// TestBusyServer: what the server does not take is sent again, and the offset waits for it; so is what it took without saying so.
func TestBusyServer(t *testing.T) {
	p := newPlace(t)
	f := newFront(t, p.url, false)
	w := p.by(f.URL).scribe(t)
	w.Apply("a=1")
	refused := 0
	f.set(func(f *front) {
		f.fate = func(view string) (int, bool) {
			if refused++; refused <= 3 {
				return []int{http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusServiceUnavailable}[refused-1], false
			}
			return 0, false
		}
	})
	w.Apply("a=2", "b=2")
	lost := map[string]bool{}
	f.set(func(f *front) {
		f.fate = func(view string) (int, bool) {
			again := lost[view]
			lost[view] = true
			return 0, !again
		}
	})
	w.Apply("a=3", "c=3")
	if len(lost) != 2 {
		t.Errorf("answers were lost of %v, want of the rows and the bookkeeping", lost)
	}
	f.set(func(f *front) { f.fate = func(string) (int, bool) { return http.StatusServiceUnavailable, false } })
	b := w.Batch("d=4")
	wants(t, w.Sink.Apply(t.Context(), b), stream.Transient, "not now")
	f.set(func(f *front) { f.fate = nil })
	must(t, w.Sink.Apply(t.Context(), b))
	w.Holds("a=3@3", "b=2@2", "c=3@4", "d=4@5")
}

// TestKilledServers: whenever the feature server or its store dies, a write is transient; afterwards all that was acknowledged is there, and the same
// sink goes on.
func TestKilledServers(t *testing.T) {
	server := testenv.Feast(t)
	p := placeOn(t, server)
	w := p.scribe(t)
	w.Apply("a=one", "gone=one")
	w.Apply("gone")
	want := []string{"a=one@0"}
	for round, kill := range []func(){server.Kill, server.Store().Kill} {
		var writes []string
		for n := range 1500 {
			text := fmt.Sprintf("%100d", n)
			writes = append(writes, fmt.Sprintf("b%d-%04d=%s", round, n, text))
			want = append(want, fmt.Sprintf("b%d-%04d=%s@%d", round, n, text, int(w.Next)+n))
		}
		ended := make(chan error, 1)
		b := w.Batch(writes...)
		go func() { ended <- w.Sink.Apply(context.WithoutCancel(t.Context()), b) }()
		sinktest.Until(t, func() error {
			if strings.HasPrefix(p.online(t, p.applied["notes"], fmt.Sprintf("b%d-0000:", round), "_version"), "_version=null") {
				return stream.Errorf(stream.Transient, "wait", "the batch has not begun")
			}
			return nil
		})
		kill()
		if err := <-ended; err != nil {
			wants(t, err, stream.Transient, "")
		}
		if round == 0 {
			server.Start(t)
		} else {
			server.Store().Start(t)
		}
		w.Take()
		if w.Next < b.To {
			sinktest.Until(t, func() error { return w.Sink.Apply(t.Context(), b) })
			w.Next = b.To
		}
	}
	w.Holds(want...)
}

// TestTokenAndTLS: the certificate is checked; the token is sent, read again when it is rotated, and in no error.
func TestTokenAndTLS(t *testing.T) {
	p := newPlace(t)
	f := newFront(t, p.url, true)
	f.set(func(f *front) { f.token = "first-secret" })
	dir := t.TempDir()
	ca, token := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "token")
	must(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: f.Certificate().Raw}), 0o600))
	set := func(secret string) { must(t, os.WriteFile(token, []byte(secret+"\n"), 0o600)) }
	p.apply(t, sinktest.Notes)
	open := func(ca string) (stream.Sink, error) {
		sink, err := p.by(f.URL).sink([]stream.TargetTable{p.in(sinktest.Notes)}, stream.Entry{Key: "token", Value: stream.StringOf("file:" + token)},
			stream.Entry{Key: "ca", Value: stream.StringOf(ca)})
		must(t, err)
		t.Cleanup(func() { must(t, sink.Close()) })
		_, err = sink.Open(t.Context(), sinktest.Origin.Flow, sinktest.Origin.Target)
		return sink, err
	}
	set("wrong-secret")
	_, err := open("")
	wants(t, err, stream.Transient, "certificate")
	sink, err := open(ca)
	if wants(t, err, stream.Usage, "setting token"); strings.Contains(err.Error(), "wrong-secret") {
		t.Error(err)
	}
	set("first-secret")
	_, err = sink.Open(t.Context(), sinktest.Origin.Flow, sinktest.Origin.Target)
	must(t, err)
	f.set(func(f *front) { f.token = "second-secret" })
	_, err = sink.Assign(t.Context(), 0, sinktest.Origin)
	if wants(t, err, stream.Transient, "setting token"); strings.Contains(err.Error(), "first-secret") {
		t.Error(err)
	}
	set("second-secret")
	_, err = sink.Assign(t.Context(), 0, sinktest.Origin)
	must(t, err)
}

// TestCarelessStore: a store that lets older rows replace newer ones is refused.
func TestCarelessStore(t *testing.T) {
	p := newPlace(t)
	at, err := url.Parse(p.url)
	must(t, err)
	forward := httputil.NewSingleHostReverseProxy(at)
	year := 2030
	careless := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		if r.URL.Path == "/push" { // each is of a later time than all before
			year++
			body = bytes.ReplaceAll(bytes.ReplaceAll(body, []byte("2000-"), fmt.Appendf(nil, "%d-", year)), []byte("1999-"), fmt.Appendf(nil, "%d-", year))
		}
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		forward.ServeHTTP(w, r)
	}))
	defer careless.Close()
	sink, err := p.by(careless.URL).sink(nil)
	must(t, err)
	_, err = sink.Open(t.Context(), "f", "t")
	wants(t, err, stream.Usage, "event timestamp is newer")
}

// TestOtherServer: what is no feature server is refused.
func TestOtherServer(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	p := newPlace(t)
	sink, err := p.by(server.URL).sink(nil)
	must(t, err)
	_, err = sink.Open(t.Context(), "f", "t")
	wants(t, err, stream.Usage, "no feature server")
}
