package neo4j_test

import (
	"bytes"
	"crypto/tls"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/freshet-dev/freshet/internal/testenv"
	"github.com/freshet-dev/freshet/sinks/neo4j"
	"github.com/freshet-dev/freshet/stream"
)

// link leads to the server, under TLS if it has a certificate. It can lose the answer to a commit, and hold a request back.
type link struct {
	listener net.Listener
	server   string
	cut      atomic.Bool // at the next commit
	armed    atomic.Pointer[hold]
	open     sync.Map
}

// hold is the next request that holds a text: it waits, once armed, until it is released.
type hold struct {
	text    []byte
	held    chan struct{} // closed when the request is there
	resume  chan struct{}
	release func() // lets it go on
}

func (l *link) hold(text []byte) *hold {
	h := &hold{text: text, held: make(chan struct{}), resume: make(chan struct{})}
	h.release = sync.OnceFunc(func() { close(h.resume) })
	l.armed.Store(h)
	return h
}

func (l *link) wait(request []byte) {
	if h := l.armed.Load(); h != nil && bytes.Contains(request, h.text) && l.armed.CompareAndSwap(h, nil) {
		close(h.held)
		<-h.resume
	}
}

func newLink(t testing.TB, cert, key string) *link {
	t.Helper()
	l := &link{server: testenv.SharedNeo4j(t).Addr()}
	var err error
	l.listener, err = net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	if cert != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		must(t, err)
		l.listener = tls.NewListener(l.listener, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12})
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.listener.Accept()
			if err != nil {
				return
			}
			all.Go(func() { l.serve(c) })
		}
	})
	t.Cleanup(func() {
		_ = l.listener.Close()
		l.end()
		all.Wait()
	})
	return l
}

func (l *link) address() string { return l.listener.Addr().String() }

// leads is the database as it is reached by the link.
func (l *link) leads(d database) database {
	return database{strings.Replace(d.url, l.server, l.address(), 1), d.client}
}

// end ends all connections.
func (l *link) end() {
	l.open.Range(func(c, _ any) bool {
		_ = c.(net.Conn).Close()
		return true
	})
}

func (l *link) serve(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", l.server)
	if err != nil {
		return
	}
	l.open.Store(client, true)
	l.open.Store(server, true)
	var lost atomic.Bool
	var answers sync.WaitGroup
	answers.Go(func() {
		defer client.Close()
		buf := make([]byte, 1<<16)
		for {
			n, err := server.Read(buf)
			if err != nil || lost.Load() {
				return
			}
			if _, err := client.Write(buf[:n]); err != nil {
				return
			}
		}
	})
	buf := make([]byte, 1<<16)
	for {
		n, err := client.Read(buf)
		if bytes.Contains(buf[:n], commit) && l.cut.CompareAndSwap(true, false) {
			lost.Store(true)
		}
		l.wait(buf[:n])
		if _, failed := server.Write(buf[:n]); err != nil || failed != nil {
			break
		}
	}
	if !lost.Load() {
		_ = server.Close()
	}
	answers.Wait()
	_ = server.Close()
}

// commit is the message COMMIT of Bolt: a structure without fields, in a chunk of two bytes.
var commit = []byte{0, 2, 0xb0, 0x12, 0, 0}

// TestLostCommit: the batch counts once, whether the caller tries it again or takes the partition again.
func TestLostCommit(t *testing.T) {
	d := empty(t)
	l := newLink(t, "", "")
	w := newWriter(t, openGraph(t, l.leads(d)), 0)
	for i, document := range []string{"a", "b"} {
		now := rows{}
		now.put("entities", document, "e", "about", nil, i)
		b := w.batch(w.unit(document, now))
		l.cut.Store(true)
		if kind := stream.KindOf(w.sink.Apply(t.Context(), b)); kind != stream.Transient {
			t.Fatalf("the lost commit is %s", kind)
		}
		if i == 0 {
			must(t, w.sink.Apply(t.Context(), b))
		} else if a, err := w.sink.Assign(t.Context(), 0, stream.Origin{}); err != nil || a.Next != w.next {
			t.Fatalf("taken again at %d (%v), want %d", a.Next, err, w.next)
		}
		d.want(t, w.documents)
	}
	w.apply(t, "a", rows{})
	d.want(t, w.documents)
}

// TestKilledServer: what was applied is there after a kill, and the sink goes on once the server is back.
func TestKilledServer(t *testing.T) {
	server := testenv.Neo4j(t)
	d := client(t, server.URL(), server.User(), server.Password())
	w := newWriter(t, openGraph(t, d), 0)
	said := rows{}
	said.put("pages", "a", "", "title")
	w.apply(t, "a", said)
	server.Kill()
	b := w.batch(w.unit("b", said))
	if kind := stream.KindOf(w.sink.Apply(t.Context(), b)); kind != stream.Transient {
		t.Fatalf("without a server: %s", kind)
	}
	delete(w.documents, "b")
	w.next = b.From
	server.Start(t)
	said = rows{}
	said.put("pages", "b", "", "title")
	w.apply(t, "b", said)
	d.want(t, w.documents)
}

// TestPasswordAndTLS: the certificate is checked; a wrong password is told at the start; one that was rotated is seen by the next request, and is in
// no error.
func TestPasswordAndTLS(t *testing.T) {
	d := empty(t)
	cert, key := testenv.Certificate(t)
	l := newLink(t, cert, key)
	d.ask(t, "CREATE OR REPLACE USER rotating SET PASSWORD 'first-secret' SET PASSWORD CHANGE NOT REQUIRED", nil)
	file := filepath.Join(t.TempDir(), "password")
	write := func(text string) { must(t, os.WriteFile(file, []byte(text), 0o600)) }
	open := func(more ...string) (stream.Sink, error) {
		s := settings(append([]string{"url", "bolt+s://rotating@" + l.address(), "password", "file:" + file}, more...)...)
		sink, err := neo4j.Spec().New(stream.SinkConfig{Settings: s, Tables: graphTables()})
		must(t, err)
		t.Cleanup(func() { must(t, sink.Close()) })
		_, err = sink.Open(t.Context(), "graph", "kg")
		return sink, err
	}
	write("wrong-secret\n")
	if _, err := open(); err == nil {
		t.Fatal("a certificate that no authority signed was taken")
	}
	_, err := open("ca", cert)
	if stream.KindOf(err) != stream.Usage || !strings.Contains(err.Error(), "username and password") || strings.Contains(err.Error(), "secret") {
		t.Fatalf("a wrong password: %v", err)
	}
	write("first-secret\n")
	sink, err := open("ca", cert)
	must(t, err)
	d.ask(t, "ALTER USER rotating SET PASSWORD 'second-secret' SET PASSWORD CHANGE NOT REQUIRED", nil)
	l.end()
	_, err = sink.Assign(t.Context(), 0, stream.Origin{})
	for try := 0; try < 20 && err != nil && !strings.Contains(err.Error(), "unauthorized"); try++ { // connections that were ended come first
		_, err = sink.Assign(t.Context(), 0, stream.Origin{})
	}
	if stream.KindOf(err) != stream.Transient || strings.Contains(err.Error(), "secret") {
		t.Fatalf("a rotated password: %v (%s)", err, stream.KindOf(err))
	}
	write("second-secret")
	_, err = sink.Assign(t.Context(), 0, stream.Origin{})
	must(t, err)
}
