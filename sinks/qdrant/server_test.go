package qdrant_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/freshet-dev/freshet/internal/testenv"
	"github.com/freshet-dev/freshet/sinks/qdrant"
	"github.com/freshet-dev/freshet/stream"
)

// TestOldServer: a server that would ignore the condition of an upsert is refused.
func TestOldServer(t *testing.T) {
	p := place{url: testenv.Qdrant(t, testenv.QdrantOptions{Version: "1.15.5"}).URL()}
	sink, err := p.sink(nil)
	must(t, err)
	defer sink.Close()
	_, err = sink.Open(t.Context(), "f", "t")
	if stream.KindOf(err) != stream.Usage || !strings.Contains(err.Error(), "1.16") {
		t.Fatalf("opening a server of version 1.15.5 gives %v", err)
	}
}

// TestKeyAndTLS: the certificate is checked, the key is sent, read again when it is rotated, and in no error.
func TestKeyAndTLS(t *testing.T) {
	cert, key := testenv.Certificate(t)
	server, mine := filepath.Join(t.TempDir(), "server"), filepath.Join(t.TempDir(), "mine")
	write(t, server, "first-secret")
	write(t, mine, "wrong-secret\n")
	p := place{url: testenv.Qdrant(t, testenv.QdrantOptions{APIKeyFile: server, Cert: cert, Key: key}).URL()}
	open := func(ca string) (stream.Sink, error) {
		more := []stream.Entry{{Key: "api_key", Value: stream.StringOf("file:" + mine)}}
		if ca != "" {
			more = append(more, stream.Entry{Key: "ca", Value: stream.StringOf(ca)})
		}
		sink, err := qdrant.Spec().New(stream.SinkConfig{Settings: p.settings(more...), Tables: []stream.TargetTable{{Table: notes}}})
		must(t, err)
		t.Cleanup(func() { must(t, sink.Close()) })
		_, err = sink.Open(t.Context(), "f", "t")
		return sink, err
	}
	if _, err := open(""); err == nil {
		t.Fatal("a certificate that no authority signed was taken")
	}
	sink, err := open(cert)
	if stream.KindOf(err) != stream.Usage || !strings.Contains(err.Error(), "api_key") || strings.Contains(err.Error(), "wrong-secret") {
		t.Fatalf("a wrong key gives %v", err)
	}
	write(t, mine, "first-secret\n")
	_, err = sink.Open(t.Context(), "f", "t")
	must(t, err)
	write(t, server, "second-secret")
	if _, err = sink.Assign(t.Context(), 0, origin); stream.KindOf(err) != stream.Usage {
		t.Fatalf("a key that was rotated away gives %v", err)
	}
	write(t, mine, "second-secret")
	_, err = sink.Assign(t.Context(), 0, origin)
	must(t, err)
}

// TestKilledServer: while the server is away, a write is transient; afterwards all that was acknowledged is there, and the
// same sink goes on.
func TestKilledServer(t *testing.T) {
	server := testenv.Qdrant(t, testenv.QdrantOptions{})
	p := place{url: server.URL()}
	w := p.writer(t, notes)
	w.apply("a", "one")
	server.Kill()
	b := w.batch("b", "two")
	if err := w.sink.Apply(t.Context(), b); stream.KindOf(err) != stream.Transient {
		t.Fatalf("a write to a killed server gives %v (kind %s)", err, stream.KindOf(err))
	}
	server.Start(t)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := w.sink.Apply(t.Context(), b)
		if err == nil {
			break
		}
		if stream.KindOf(err) != stream.Transient {
			t.Fatal(err)
		}
		<-tick.C
	}
	w.holds("a=one@0", "b=two@1")
}

func write(t *testing.T, path, text string) {
	t.Helper()
	must(t, os.WriteFile(path, []byte(text), 0o600))
}
