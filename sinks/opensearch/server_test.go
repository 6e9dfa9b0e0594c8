package opensearch_test

import (
	"context"
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
	zombie := place{f.URL, p.prefix}.scribe(t)
	zombie.Apply("a=1", "b=1")
	f.hold(1)
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
	zombie := place{f.URL, p.prefix}.scribe(t)
	zombie.Apply("a=1")
	f.hold(1)
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

// TestLateReplacement: a writer reads rows again and finds them as they were; before its request to put its own in their place arrives, one of them is
// replaced.
func TestLateReplacement(t *testing.T) {
	p := newPlace(t)
	p.scribe(t).Apply("a=1", "b=1")
	f := newFront(t, p.url, false)
	zombie := place{f.URL, p.prefix}.scribe(t)
	must(t, zombie.Sink.StartRebuild(t.Context(), 0, 2))
	zombie.Next = 0
	f.hold(2)
	late, done := zombie.Batch("a=1", "b=1"), make(chan error, 1)
	go func() { done <- zombie.Sink.Stage(context.WithoutCancel(t.Context()), late) }()
	<-f.held
	heir := p.scribe(t)
	heir.Apply("a=2")
	f.release()
	wants(t, <-done, stream.Fenced, "")
	heir.Holds("a=2@2", "b=1@1")
}

// TestBusyServer: the node takes some items of a request and not the others; those are sent again where they stand, and the offset waits for them.
func TestBusyServer(t *testing.T) {
	p := newPlace(t)
	f := newFront(t, p.url, false)
	seen := map[string]int{}
	f.busy = func(id string) bool {
		seen[id]++
		return seen[id] <= 2 && strings.HasSuffix(id, "1")
	}
	w := place{f.URL, p.prefix}.scribe(t)
	var writes, want []string
	for n := range 30 {
		writes = append(writes, fmt.Sprintf("d%02d=x", n))
		want = append(want, fmt.Sprintf("d%02d=x@%d", n, n))
	}
	w.Apply(writes...)
	w.Holds(want...)
	if f.refused != 6 {
		t.Errorf("%d items were refused, want 3, twice each", f.refused)
	}
	f.busy = func(id string) bool { return id == "d00" }
	b := w.Batch("d00=y", "d02=y")
	wants(t, w.Sink.Apply(t.Context(), b), stream.Transient, "too busy")
	f.busy = nil
	must(t, w.Sink.Apply(t.Context(), b))
	want[0], want[2] = "d00=y@30", "d02=y@31"
	w.Holds(want...)
}

// TestKilledServer: whenever the node dies, a write is transient; afterwards all that was acknowledged is there, and the same sink goes on.
func TestKilledServer(t *testing.T) {
	server := testenv.OpenSearch(t)
	p := place{server.URL(), ""}
	w := p.scribe(t)
	w.Apply("a=one", "gone=one")
	w.Apply("gone")
	var writes []string
	want := []string{"a=one@0"}
	for n := range 3000 {
		writes = append(writes, fmt.Sprintf("b%04d=text", n))
		want = append(want, fmt.Sprintf("b%04d=text@%d", n, n+3))
	}
	ended := make(chan error, 1)
	b := w.Batch(writes...)
	go func() { ended <- w.Sink.Apply(context.WithoutCancel(t.Context()), b) }()
	sinktest.Until(t, func() error {
		if len(p.search(t, "/notes", `{"match_all":{}}`)) < 2 {
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

// TestPasswordAndTLS: the certificate is checked, the password is sent, read again when it is rotated, and in no error.
func TestPasswordAndTLS(t *testing.T) {
	p := newPlace(t)
	f := newFront(t, p.url, true)
	f.asks("first-secret")
	dir := t.TempDir()
	ca, mine := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "mine")
	must(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: f.Certificate().Raw}), 0o600))
	set := func(password string) { must(t, os.WriteFile(mine, []byte(password+"\n"), 0o600)) }
	t.Setenv("SEARCH_USER", "freshet")
	open := func(ca string) (stream.Sink, error) {
		sink, err := place{f.URL, p.prefix}.sink([]stream.TargetTable{{Table: sinktest.Notes}}, stream.Entry{Key: "username", Value: stream.StringOf("env:SEARCH_USER")},
			stream.Entry{Key: "password", Value: stream.StringOf("file:" + mine)}, stream.Entry{Key: "ca", Value: stream.StringOf(ca)})
		must(t, err)
		t.Cleanup(func() { must(t, sink.Close()) })
		_, err = sink.Open(t.Context(), sinktest.Origin.Flow, sinktest.Origin.Target)
		return sink, err
	}
	set("wrong-secret")
	_, err := open("")
	wants(t, err, stream.Transient, "certificate")
	sink, err := open(ca)
	if wants(t, err, stream.Usage, "settings username and password"); strings.Contains(err.Error(), "wrong-secret") {
		t.Error(err)
	}
	set("first-secret")
	_, err = sink.Open(t.Context(), sinktest.Origin.Flow, sinktest.Origin.Target)
	must(t, err)
	f.asks("second-secret")
	_, err = sink.Assign(t.Context(), 0, sinktest.Origin)
	if wants(t, err, stream.Transient, "settings username and password"); strings.Contains(err.Error(), "first-secret") {
		t.Error(err)
	}
	set("second-secret")
	_, err = sink.Assign(t.Context(), 0, sinktest.Origin)
	must(t, err)
}

// TestRefusedServers: what is no OpenSearch, too old, or without the plugin is refused before anything is made.
func TestRefusedServers(t *testing.T) {
	for words, answers := range map[string][2]string{
		"needs OpenSearch":        {`{"version":{"number":"8.15.0"}}`, `[]`},
		"OpenSearch 2.9 or later": {`{"version":{"number":"2.8.0","distribution":"opensearch"}}`, `[]`},
		"plugin opensearch-knn":   {`{"version":{"number":"3.0.0","distribution":"opensearch"}}`, `[{"component":"opensearch-security"}]`},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			n := 0
			if r.URL.Path == "/_cat/plugins" {
				n = 1
			} else if r.URL.Path != "/" || r.Method != http.MethodGet {
				t.Errorf("%s %s was asked of a server that does not fit", r.Method, r.URL)
			}
			_, _ = fmt.Fprint(w, answers[n])
		}))
		sink, err := place{server.URL, ""}.sink([]stream.TargetTable{{Table: sinktest.Notes}})
		must(t, err)
		_, err = sink.Open(t.Context(), "f", "t")
		wants(t, err, stream.Usage, words)
		must(t, sink.Close())
		server.Close()
	}
}
