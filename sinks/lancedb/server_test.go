package lancedb_test

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/freshet-dev/freshet/internal/testenv"
	"github.com/freshet-dev/freshet/sinks/sinktest"
	"github.com/freshet-dev/freshet/stream"
)

// TestLateRequest: a writer is stopped after it saw that the partition is its own; its successor goes on; then the request arrives. It loses to
// newer rows and to tombstones.
func TestLateRequest(t *testing.T) {
	p := newPlace(t)
	f := newFront(t, p.url, false)
	zombie := place{f.URL, p.namespace}.scribe(t)
	zombie.Apply("a=1", "b=1")
	f.hold()
	late, done := zombie.Batch("a=2", "b=2"), make(chan error, 1)
	go func() { done <- zombie.Sink.Apply(context.WithoutCancel(t.Context()), late) }()
	<-f.held
	heir := p.scribe(t)
	heir.Apply("a=2", "b=2", "a=3", "b")
	f.release()
	wants(t, <-done, stream.Fenced, "")
	heir.Holds("a=3@4")
}

// TestLateRequestOfTheSameVersion: the request carries the very versions that a rebuild has just met. Were they written again under the old epoch, the
// end of the rebuild would take the rows for ones that the topic no longer has.
func TestLateRequestOfTheSameVersion(t *testing.T) {
	p := newPlace(t)
	f := newFront(t, p.url, false)
	zombie := place{f.URL, p.namespace}.scribe(t)
	zombie.Apply("a=1")
	f.hold()
	late, done := zombie.Batch("b=1", "c=1"), make(chan error, 1)
	go func() { done <- zombie.Sink.Apply(context.WithoutCancel(t.Context()), late) }()
	<-f.held
	heir := p.scribe(t)
	heir.Apply("b=1", "c=1")
	must(t, heir.Sink.StartRebuild(t.Context(), 0, 3))
	heir.Next = 0
	must(t, heir.Sink.Stage(t.Context(), heir.Batch("a=1", "b=1", "c=1")))
	f.release()
	wants(t, <-done, stream.Fenced, "")
	must(t, heir.Sink.Switch(t.Context(), 0, 3))
	heir.Holds("a=1@0", "b=1@1", "c=1@2")
}

// TestBusyServer: what the server does not take is sent again, and the offset waits for it; so is what it took without saying so.
func TestBusyServer(t *testing.T) {
	p := newPlace(t)
	f := newFront(t, p.url, false)
	w := place{f.URL, p.namespace}.scribe(t)
	w.Apply("a=1")
	refused := 0
	f.fail(func(table string, _ int) int {
		if refused++; refused <= 3 && table == "notes" {
			return []int{http.StatusTooManyRequests, http.StatusConflict, http.StatusInternalServerError}[refused-1]
		}
		return 0
	}, nil)
	w.Apply("a=2", "b=2")
	lost := map[string]bool{}
	f.fail(nil, func(table string) bool {
		again := lost[table]
		lost[table] = true
		return !again
	})
	w.Apply("a=3", "c=3")
	if len(lost) != 2 {
		t.Errorf("answers were lost of %v, want of the rows and the place", lost)
	}
	f.fail(func(table string, _ int) int { return http.StatusServiceUnavailable }, nil)
	b := w.Batch("d=4")
	wants(t, w.Sink.Apply(t.Context(), b), stream.Transient, "not now")
	f.fail(nil, nil)
	must(t, w.Sink.Apply(t.Context(), b))
	w.Holds("a=3@3", "b=2@2", "c=3@4", "d=4@5")
}

// TestLargeRequest: rows that the server does not take together are sent apart; one that it does not take at all is named.
func TestLargeRequest(t *testing.T) {
	p := newPlace(t)
	f := newFront(t, p.url, false)
	w := place{f.URL, p.namespace}.scribe(t)
	large := 0
	f.fail(func(_ string, size int) int {
		if size > 20_000 {
			large++
			return http.StatusRequestEntityTooLarge
		}
		return 0
	}, nil)
	var writes, want []string
	for n := range 8 {
		text := strings.Repeat("x", 6000)
		writes = append(writes, fmt.Sprintf("d%d=%s", n, text))
		want = append(want, fmt.Sprintf("d%d=%s@%d", n, text, n))
	}
	w.Apply(writes...)
	if w.Holds(want...); large != 3 {
		t.Errorf("%d requests were too large, want that of 8 and two of 4 rows", large)
	}
	wants(t, w.Sink.Apply(t.Context(), w.Batch("e=1", "f="+strings.Repeat("x", 30_000))), stream.Usage, "document f")
}

// TestKilledServer: whenever the server dies, a write is transient; afterwards all that was acknowledged is there, and the same sink goes on.
func TestKilledServer(t *testing.T) {
	server := testenv.Lance(t)
	p := place{server.URL(), "killed"}
	w := p.scribe(t)
	w.Apply("a=one", "gone=one")
	w.Apply("gone")
	var writes []string
	want := []string{"a=one@0"}
	for n := range 3000 {
		text := fmt.Sprintf("%1000d", n) // so that it takes some requests
		writes = append(writes, fmt.Sprintf("b%04d=%s", n, text))
		want = append(want, fmt.Sprintf("b%04d=%s@%d", n, text, n+3))
	}
	ended := make(chan error, 1)
	b := w.Batch(writes...)
	go func() { ended <- w.Sink.Apply(context.WithoutCancel(t.Context()), b) }()
	sinktest.Until(t, func() error {
		if len(p.query(t, "notes", "_document > 'b'")) == 0 {
			return stream.Errorf(stream.Transient, "wait", "the batch has not begun")
		}
		return nil
	})
	server.Kill()
	if err := <-ended; err != nil {
		wants(t, err, stream.Transient, "")
	}
	server.Start(t)
	w.Take()
	if w.Next < b.To {
		sinktest.Until(t, func() error { return w.Sink.Apply(t.Context(), b) })
	}
	w.Holds(want...)
}

// TestCompaction: whoever compacts the tables while they are written takes nothing away, and readers find all afterwards.
func TestCompaction(t *testing.T) {
	server := testenv.Lance(t)
	p := place{server.URL(), "compacted"}
	w := p.scribe(t)
	patient := sinktest.Patient(w.Sink) // a compaction may take away what a request is about to read
	const documents, rounds = 20, 3
	ended := make(chan error, 1)
	go func() {
		for n := range documents * rounds {
			b := w.Batch(fmt.Sprintf("d%02d=round %d", n%documents, n/documents))
			if err := patient.Apply(t.Context(), b); err != nil {
				ended <- err
				return
			}
			w.Next = b.To
		}
		ended <- nil
	}()
	server.Compact(t)
	must(t, <-ended)
	server.Compact(t)
	var want []string
	for n := range documents {
		want = append(want, fmt.Sprintf("d%02d=round %d@%d", n, rounds-1, n+documents*(rounds-1)))
	}
	w.Holds(want...)
	var now struct {
		Fragments struct {
			Count int `json:"num_fragments"`
		} `json:"fragment_stats"`
	}
	must(t, json.Unmarshal(p.ask(t, "notes", "stats", fields{}), &now))
	if now.Fragments.Count != 1 {
		t.Errorf("the table is in %d pieces after it was compacted, want one", now.Fragments.Count)
	}
}

// TestKeyAndTLS: the certificate is checked; key, token and database are sent, the first two read again when they are rotated, and in no error.
func TestKeyAndTLS(t *testing.T) {
	p := newPlace(t)
	f := newFront(t, p.url, true)
	f.asks("first-secret")
	dir := t.TempDir()
	ca, key, token := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "key"), filepath.Join(dir, "token")
	must(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: f.Certificate().Raw}), 0o600))
	set := func(secret string) {
		must(t, os.WriteFile(key, []byte(secret+"\n"), 0o600))
		must(t, os.WriteFile(token, []byte("token-of-"+secret+"\n"), 0o600))
	}
	open := func(ca string) (stream.Sink, error) {
		sink, err := place{f.URL, p.namespace}.sink([]stream.TargetTable{{Table: sinktest.Notes}}, stream.Entry{Key: "api_key", Value: stream.StringOf("file:" + key)},
			stream.Entry{Key: "token", Value: stream.StringOf("file:" + token)}, stream.Entry{Key: "ca", Value: stream.StringOf(ca)},
			stream.Entry{Key: "database", Value: stream.StringOf("birds")})
		must(t, err)
		t.Cleanup(func() { must(t, sink.Close()) })
		_, err = sink.Open(t.Context(), sinktest.Origin.Flow, sinktest.Origin.Target)
		return sink, err
	}
	set("wrong-secret")
	_, err := open("")
	wants(t, err, stream.Transient, "certificate")
	sink, err := open(ca)
	if wants(t, err, stream.Usage, "settings api_key and token"); strings.Contains(err.Error(), "wrong-secret") {
		t.Error(err)
	}
	set("first-secret")
	_, err = sink.Open(t.Context(), sinktest.Origin.Flow, sinktest.Origin.Target)
	must(t, err)
	f.asks("second-secret")
	_, err = sink.Assign(t.Context(), 0, sinktest.Origin)
	if wants(t, err, stream.Transient, "settings api_key and token"); strings.Contains(err.Error(), "first-secret") {
		t.Error(err)
	}
	set("second-secret")
	_, err = sink.Assign(t.Context(), 0, sinktest.Origin)
	must(t, err)
	for _, header := range f.seen {
		if header.Get("X-Lancedb-Database") != "birds" {
			t.Errorf("a request names database %q", header.Get("X-Lancedb-Database"))
		}
	}
}

// TestOtherServer: what does not speak the protocol is refused, and nothing is made in it.
func TestOtherServer(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/exists") && !strings.HasSuffix(r.URL.Path, "/describe") {
			t.Errorf("%s was asked of a server that does not fit", r.URL)
		}
		http.NotFound(w, r)
	}))
	defer server.Close()
	for _, namespace := range []string{"", "birds"} {
		sink, err := place{server.URL, namespace}.sink([]stream.TargetTable{{Table: sinktest.Notes}})
		must(t, err)
		_, err = sink.Open(t.Context(), "f", "t")
		wants(t, err, stream.Usage, "REST namespace protocol")
		must(t, sink.Close())
	}
}
