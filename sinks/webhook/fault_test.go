package webhook_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/freshet-dev/freshet/sinks/sinktest"
	"github.com/freshet-dev/freshet/stream"
)

// TestContractUnderLostAnswers: of four requests one is refused, one is taken and its answer lost; sent again as the delivery does, every promise holds.
func TestContractUnderLostAnswers(t *testing.T) {
	fewer(t, "20") // each lost answer costs a connection
	sinktest.Run(t, func(t *testing.T) sinktest.Harness {
		var n atomic.Int64
		b := newBooth(t, func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				turn := n.Add(1) % 4
				switch {
				case r.URL.Query().Get("table") != "": // the suite's own
				case turn == 1:
					w.WriteHeader(http.StatusBadGateway)
					return
				case turn == 3:
					next.ServeHTTP(httptest.NewRecorder(), r)
					panic(http.ErrAbortHandler) // the connection ends
				}
				next.ServeHTTP(w, r)
			})
		})
		h := b.harness()
		h.New = func(tables []stream.TargetTable) (stream.Sink, error) {
			s, err := b.sink(tables)
			if err != nil {
				return nil, err
			}
			return sinktest.Patient(s), nil
		}
		return h
	})
}

// fewer bounds how many random histories a test tries.
func fewer(t *testing.T, checks string) {
	f := flag.Lookup("rapid.checks")
	before := f.Value.String()
	must(t, f.Value.Set(checks))
	t.Cleanup(func() { must(t, f.Value.Set(before)) })
}

// posted is a POST as it came.
type posted struct {
	key, signature, token string
	body                  []byte
}

// gate notes the POSTs of batches, and answers as it is told before the receiver sees them.
type gate struct {
	mu     sync.Mutex
	seen   []posted
	answer func(w http.ResponseWriter) bool // nil: the receiver answers
}

func (g *gate) before(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		g.mu.Lock()
		answer := g.answer
		if bytes.Contains(body, []byte(`"do":"write"`)) {
			g.seen = append(g.seen, posted{r.Header.Get("Idempotency-Key"), r.Header.Get("Freshet-Signature"), r.Header.Get("Authorization"), body})
		} else {
			answer = nil
		}
		g.mu.Unlock()
		if answer == nil || !answer(w) {
			next.ServeHTTP(w, r)
		}
	})
}

func (g *gate) answers(f func(w http.ResponseWriter) bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.answer = f
}

func (g *gate) status(code int, said string) {
	g.answers(func(w http.ResponseWriter) bool {
		w.Header().Set("Retry-After", "7")
		http.Error(w, said, code)
		return true
	})
}

var notes = stream.Table{Name: "notes", Columns: []stream.Field{{Name: "text", Type: stream.TypeString}}}

// batch writes two documents.
func batch(from int64) stream.Batch {
	row := func(document string, offset int64) stream.Unit {
		return stream.Unit{Document: document, Rows: []stream.RowWrite{{RowID: stream.RowID{Table: "notes", Document: document},
			Version: stream.Version{Generation: 1, Offset: offset}, Columns: []stream.Value{stream.StringOf("herons")}}}}
	}
	return stream.Batch{From: from, To: from + 2, Units: []stream.Unit{row("page/a", from), row("page/b", from+1)}}
}

// begin opens a sink through the gate and takes partition 0.
func (g *gate) begin(t *testing.T, b *booth, more ...stream.Entry) stream.Sink {
	t.Helper()
	s, err := b.sink([]stream.TargetTable{{Table: notes}}, more...)
	must(t, err)
	t.Cleanup(func() { _ = s.Close() })
	_, err = s.Open(t.Context(), "f", "t")
	must(t, err)
	_, err = s.Assign(t.Context(), 0, stream.Origin{})
	must(t, err)
	must(t, s.Adopt(t.Context(), 0, stream.Origin{TopicID: "topic", Generation: 1}, 0))
	return s
}

// TestKey: a batch that is sent again is the same to the last byte, and has the same key; the next one has another.
func TestKey(t *testing.T) {
	g := &gate{}
	b := newBooth(t, g.before)
	s := g.begin(t, b)
	g.status(http.StatusServiceUnavailable, "not now")
	for range 3 {
		if err := s.Apply(t.Context(), batch(0)); stream.KindOf(err) != stream.Transient {
			t.Fatalf("apply: %v", err)
		}
	}
	g.answers(nil)
	must(t, s.Apply(t.Context(), batch(0)))
	must(t, s.Apply(t.Context(), batch(2)))
	sum := sha256.Sum256(g.seen[0].body)
	for i, p := range g.seen[:4] {
		if p.key != hex.EncodeToString(sum[:]) || !bytes.Equal(p.body, g.seen[0].body) {
			t.Errorf("attempt %d has key %s and body %s", i, p.key, p.body)
		}
	}
	if g.seen[4].key == g.seen[0].key {
		t.Error("another batch has the same key")
	}
}

// TestAnswers: the class of each answer, what a person is told, and how long the receiver is left alone.
func TestAnswers(t *testing.T) {
	g := &gate{}
	b := newBooth(t, g.before)
	s := g.begin(t, b)
	kinds := map[int]stream.ErrorKind{429: stream.Transient, 408: stream.Transient, 500: stream.Transient, 502: stream.Transient, 503: stream.Transient,
		401: stream.Transient, 403: stream.Transient, 400: stream.Usage, 404: stream.Usage, 413: stream.Usage, 422: stream.Usage, 307: stream.Usage}
	for code, kind := range kinds {
		g.status(code, "no herons here")
		err := s.Apply(t.Context(), batch(0))
		if stream.KindOf(err) != kind {
			t.Errorf("%d: kind %s, want %s: %v", code, stream.KindOf(err), kind, err)
			continue
		}
		for _, want := range []string{"apply to target t", "records [0, 2) of partition 0", `documents "page/a" to "page/b"`, strconv.Itoa(code), "no herons here"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%d: %q is not in: %v", code, want, err)
			}
		}
		if after := err.(*stream.Error).RetryAfter; after != 7*time.Second {
			t.Errorf("%d: to be asked again after %s", code, after)
		}
	}
	g.answers(nil)
	must(t, s.Apply(t.Context(), batch(0)))
}

// TestOutages: a receiver that hangs, ends the connection, or answers by half is asked again.
func TestOutages(t *testing.T) {
	g := &gate{}
	b := newBooth(t, g.before)
	s := g.begin(t, b, stream.Entry{Key: "timeout", Value: stream.IntOf(int64(200 * time.Millisecond))})
	hang := make(chan struct{})
	for name, answer := range map[string]func(http.ResponseWriter) bool{
		"hangs": func(http.ResponseWriter) bool { <-hang; return true },
		"ends":  func(http.ResponseWriter) bool { panic(http.ErrAbortHandler) },
		"half": func(w http.ResponseWriter) bool {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, `{"place":`)
			return true
		},
	} {
		g.answers(answer)
		if err := s.Apply(t.Context(), batch(0)); stream.KindOf(err) != stream.Transient || strings.Contains(err.Error(), b.url) {
			t.Errorf("%s: %v", name, err)
		}
	}
	close(hang)
	g.answers(nil)
	must(t, sinktest.Patient(s).Apply(t.Context(), batch(0)))
}

// TestNoReceiver: what answers with success, and not as a receiver does, is refused: at the start, and later.
func TestNoReceiver(t *testing.T) {
	dumb := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }))
	defer dumb.Close()
	for said, b := range map[string]*booth{"docs/targets/webhook.md": {url: dumb.URL}} {
		s, err := b.sink([]stream.TargetTable{{Table: notes}})
		must(t, err)
		if _, err = s.Open(t.Context(), "f", "t"); stream.KindOf(err) != stream.Usage || !strings.Contains(err.Error(), said) {
			t.Errorf("open: %v", err)
		}
	}
	g := &gate{}
	b := newBooth(t, g.before)
	s := g.begin(t, b)
	for _, said := range []string{"ok", "{}", `{"place":{"partition":0,"epoch":1,"next":2}}`} {
		g.answers(func(w http.ResponseWriter) bool { _, _ = io.WriteString(w, said); return true })
		if err := s.Apply(t.Context(), batch(0)); stream.KindOf(err) != stream.Usage {
			t.Errorf("%s: kind %s: %v", said, stream.KindOf(err), err)
		}
	}
}

// TestCredentials: token and signature are checked; wrong ones are told at the start, rotated ones heal, and none is in an error.
func TestCredentials(t *testing.T) {
	const token, secret = "token-7f3a", "secret-91bc"
	g := &gate{}
	b := newBooth(t, g.before)
	b.Token, b.Secret = token, secret
	t.Setenv("WEBHOOK_TOKEN", "another")
	file := filepath.Join(t.TempDir(), "secret")
	must(t, os.WriteFile(file, []byte(secret+"\n"), 0o600))
	entries := []stream.Entry{{Key: "token", Value: stream.StringOf("env:WEBHOOK_TOKEN")}, {Key: "secret", Value: stream.StringOf("file:" + file)}}
	s, err := b.sink([]stream.TargetTable{{Table: notes}}, entries...)
	must(t, err)
	if _, err = s.Open(t.Context(), "f", "t"); stream.KindOf(err) != stream.Usage || !strings.Contains(err.Error(), "settings token and secret") {
		t.Fatalf("open with a wrong token: %v", err)
	}
	t.Setenv("WEBHOOK_TOKEN", token)
	s = g.begin(t, b, entries...)

	must(t, os.WriteFile(file, []byte("rotated"), 0o600))
	if err := s.Apply(t.Context(), batch(0)); stream.KindOf(err) != stream.Transient {
		t.Errorf("a secret that the receiver does not know yet: %v", err)
	}
	b.Secret = "rotated"
	must(t, s.Apply(t.Context(), batch(0)))
	last := g.seen[len(g.seen)-1]
	mac := hmac.New(sha256.New, []byte("rotated"))
	mac.Write(last.body)
	if want := "sha256=" + hex.EncodeToString(mac.Sum(nil)); last.signature != want || last.token != "Bearer "+token {
		t.Errorf("signature %s, want %s; authorization %s", last.signature, want, last.token)
	}

	g.status(http.StatusBadRequest, "you sent Bearer "+token+" and rotated")
	if err := s.Apply(t.Context(), batch(2)); err == nil || strings.Contains(err.Error(), token) || strings.Contains(err.Error(), "rotated") {
		t.Errorf("an answer that repeats credentials gives: %v", err)
	}
}

// TestRefusals: settings that lead nowhere are told before anything is sent, and quote no key.
func TestRefusals(t *testing.T) {
	for _, given := range []string{"ftp://host/x", "https://user:pw-3d@host/", "host:80", "https:///x", "http://h/%zz"} {
		_, err := (&booth{url: given}).sink(nil)
		if stream.KindOf(err) != stream.Usage || !strings.Contains(err.Error(), "setting url") || strings.Contains(err.Error(), "pw-3d") {
			t.Errorf("url %s: %v", given, err)
		}
	}
	same := stream.Settings{Values: stream.MapOf(stream.Entry{Key: "table", Value: stream.StringOf("x")})}
	_, err := (&booth{url: "http://h"}).sink([]stream.TargetTable{{Table: stream.Table{Name: "a"}, Settings: same}, {Table: stream.Table{Name: "b"}, Settings: same}})
	if stream.KindOf(err) != stream.Usage || !strings.Contains(err.Error(), "`table`") {
		t.Errorf("two tables of one name: %v", err)
	}
}
