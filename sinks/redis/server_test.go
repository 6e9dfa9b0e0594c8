package redis_test

import (
	"context"
	"crypto/x509"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/rueidis"

	"github.com/freshet-dev/freshet/internal/testenv"
	"github.com/freshet-dev/freshet/sinks/sinktest"
	"github.com/freshet-dev/freshet/stream"
)

var plain = stream.TargetTable{Table: sinktest.Notes}

// TestLateRequest: a writer is stopped after it saw that the partition is its own; its successor goes on; then the request arrives. Nothing of it is
// written, not even a row that nobody else wrote.
func TestLateRequest(t *testing.T) {
	server := testenv.SharedRedis(t)
	p, l := newPlace(t, server), newLink(t, server)
	slow := place{url: l.url(), prefix: p.prefix}
	zombie := slow.scribe(t, plain)
	zombie.Apply("a=1", "b=1")
	l.hold("EVALSHA")
	late, done := zombie.Batch("a=2", "b=2", "new=2"), make(chan error, 1)
	go func() { done <- zombie.Sink.Apply(context.WithoutCancel(t.Context()), late) }()
	<-l.held
	heir := p.scribe(t, plain)
	heir.Apply("a=3", "b")
	l.release()
	wants(t, <-done, stream.Fenced)
	heir.Holds("a=3@2")
}

// TestKilledServer: while the server is away, a write is transient; afterwards all that was acknowledged is there, and the same sink goes on.
func TestKilledServer(t *testing.T) {
	server := testenv.Redis(t, testenv.RedisOptions{Durable: true})
	w := place{url: server.URL(), prefix: "p"}.scribe(t, plain)
	w.Apply("a=one", "gone=one")
	w.Apply("gone")
	server.Kill()
	b := w.Batch("b=two")
	wants(t, w.Sink.Apply(t.Context(), b), stream.Transient)
	server.Start(t)
	sinktest.Until(t, func() error { return w.Sink.Apply(t.Context(), b) })
	w.Next = b.To
	w.Holds("a=one@0", "b=two@3")
}

// TestKilledInTheMiddle: whenever the server dies, the writer that goes on where the target says ends with every row.
func TestKilledInTheMiddle(t *testing.T) {
	server := testenv.Redis(t, testenv.RedisOptions{Durable: true})
	p := place{url: server.URL(), prefix: "p"}
	w := p.scribe(t, plain)
	var writes, want []string
	for n := range 2000 {
		document := string([]byte{'a' + byte(n/676), 'a' + byte(n/26%26), 'a' + byte(n%26)})
		writes = append(writes, document+"=text")
		want = append(want, document+"=text@"+strconv.Itoa(n))
	}
	ended := make(chan error, 1)
	b := w.Batch(writes...)
	go func() { ended <- w.Sink.Apply(context.WithoutCancel(t.Context()), b) }()
	p.client = dial(t, server)
	sinktest.Until(t, func() error {
		if len(p.keys(t, "p:notes:")) == 0 {
			return stream.Errorf(stream.Transient, "wait", "no row is there yet")
		}
		return nil
	})
	server.Kill()
	<-ended
	server.Start(t)
	sinktest.Until(t, func() error {
		_, err := w.Sink.Assign(t.Context(), 0, sinktest.Origin)
		return err
	})
	w.Take()
	if w.Next == 0 {
		must(t, w.Sink.Apply(t.Context(), b))
	}
	w.Holds(want...)
}

// TestForgetfulServer: a server without persistence begins empty. The writer sees it, writes nothing into the void, and the next start begins anew.
func TestForgetfulServer(t *testing.T) {
	server := testenv.Redis(t, testenv.RedisOptions{})
	p := place{url: server.URL(), prefix: "p"}
	w := p.scribe(t, plain)
	w.Apply("a=one")
	server.Kill()
	server.Start(t)
	sinktest.Until(t, func() error {
		err := w.Sink.Apply(t.Context(), w.Batch("b=two"))
		if stream.KindOf(err) == stream.Fenced {
			return nil
		}
		return err
	})
	w.Take()
	if w.Next != 0 {
		t.Fatalf("an empty server holds offset %d", w.Next)
	}
	wants(t, w.Sink.Apply(t.Context(), w.Batch("a=one")), stream.Usage, `table "notes" is gone`)
	heir := p.scribe(t, plain)
	if heir.Next != 0 {
		t.Fatalf("the next start begins at offset %d", heir.Next)
	}
	heir.Apply("a=one", "b=two")
	heir.Holds("a=one@0", "b=two@1")
}

// TestOlderState: a server comes back as it was some time ago, as after a failover to a replica that was behind. Rows and place went back together:
// the writer is refused, and goes on where the target says.
func TestOlderState(t *testing.T) {
	server := testenv.Redis(t, testenv.RedisOptions{})
	p := place{url: server.URL(), prefix: "p"}
	w := p.scribe(t, plain)
	w.Apply("a=one", "gone=one")
	c := dial(t, server)
	must(t, c.Do(t.Context(), c.B().Save().Build()).Error())
	w.Apply("gone", "a=two", "b=two")
	server.Kill()
	server.Start(t)
	sinktest.Until(t, func() error {
		err := w.Sink.Apply(t.Context(), w.Batch("c=three"))
		if stream.KindOf(err) == stream.Fenced {
			return nil
		}
		return err
	})
	w.Take()
	if w.Next != 2 {
		t.Fatalf("the target says offset %d, want that of the saved state, 2", w.Next)
	}
	w.Holds("a=one@0", "gone=one@1")
	w.Apply("gone", "a=two", "b=two", "c=three")
	w.Holds("a=two@3", "b=two@4", "c=three@5")
}

// TestOutOfMemory: a put that does not fit fails whole, is transient, and succeeds once there is memory.
func TestOutOfMemory(t *testing.T) {
	server := testenv.Redis(t, testenv.RedisOptions{})
	w := place{url: server.URL(), prefix: "p"}.scribe(t, plain)
	w.Apply("a=one")
	configure(t, server, "maxmemory", "1")
	b := w.Batch("a=two", "b=two")
	wants(t, w.Sink.Apply(t.Context(), b), stream.Transient, "OOM")
	w.Holds("a=one@0")
	configure(t, server, "maxmemory", "0")
	must(t, w.Sink.Apply(t.Context(), b))
	w.Holds("a=two@1", "b=two@2")
}

func configure(t *testing.T, server *testenv.RedisServer, name, value string) {
	t.Helper()
	c := dial(t, server)
	must(t, c.Do(t.Context(), c.B().ConfigSet().ParameterValue().ParameterValue(name, value).Build()).Error())
}

// TestRefusedServers: one on which rows would vanish or scripts would not see all keys, at the start and when it became one.
func TestRefusedServers(t *testing.T) {
	for setting, says := range map[string]string{"maxmemory-policy allkeys-lru": "maxmemory-policy is allkeys-lru", "cluster-enabled yes": "part of a cluster"} {
		t.Run(setting, func(t *testing.T) {
			server := testenv.Redis(t, testenv.RedisOptions{Settings: []string{setting}})
			sink, err := place{url: server.URL(), prefix: "p"}.sink(nil)
			must(t, err)
			defer sink.Close()
			_, err = sink.Open(t.Context(), "f", "t")
			wants(t, err, stream.Usage, says)
		})
	}
	server := testenv.Redis(t, testenv.RedisOptions{})
	w := place{url: server.URL(), prefix: "p"}.scribe(t, plain)
	configure(t, server, "maxmemory-policy", "allkeys-random")
	_, err := w.Sink.Assign(t.Context(), 0, sinktest.Origin)
	wants(t, err, stream.Usage, "allkeys-random")
}

// rights is what docs/targets/redis.md says that a user needs.
const rights = "resetchannels ~p:* +info +ping +select +evalsha +eval +scan +exists +hget +hmget +hgetall +hset +hdel +hincrby +del +unlink +zadd +zrem +zrangebyscore"

// TestRights: a user with these rights and no others can do all that a target needs, rebuilds and new tables included.
func TestRights(t *testing.T) {
	server := testenv.Redis(t, testenv.RedisOptions{Settings: []string{"user feeder on >secret " + rights}})
	file := filepath.Join(t.TempDir(), "password")
	write(t, file, "secret\n")
	p := place{url: "redis://feeder@" + server.Addr() + "/1", prefix: "p"}
	w := p.scribe(t, plain, stream.Entry{Key: "password", Value: stream.StringOf("file:" + file)})
	w.Apply("a=one", "b=one")
	w.Apply("b")
	must(t, w.Sink.StartRebuild(t.Context(), 0, 3))
	b := w.Batch("a=one")
	b.From, b.To, b.Units[0].Rows[0].Version.Offset = 0, 3, 0
	must(t, w.Sink.Stage(t.Context(), b))
	must(t, w.Sink.Switch(t.Context(), 0, 3))
	must(t, w.Sink.Sweep(t.Context(), 0, 1, stream.Version{Generation: 1}))
	other, err := p.sink([]stream.TargetTable{{Table: stream.Table{Name: "notes", Columns: sinktest.Notes.Columns[:1]}}},
		stream.Entry{Key: "password", Value: stream.StringOf("file:" + file)})
	must(t, err)
	defer other.Close()
	changed, err := other.Open(t.Context(), sinktest.Origin.Flow, sinktest.Origin.Target)
	must(t, err)
	must(t, other.Recreate(t.Context(), changed))
	w.Holds()
	if other := dial(t, server); len((place{client: other}).keys(t, "")) > 0 {
		t.Error("database 0 holds keys, but the url names database 1")
	}
}

// TestPasswordAndTLS: the certificate is checked; a wrong password is told at the start; one that was rotated heals by itself and is in no error.
func TestPasswordAndTLS(t *testing.T) {
	cert, key := testenv.Certificate(t)
	server := testenv.Redis(t, testenv.RedisOptions{Cert: cert, Key: key, Settings: []string{"requirepass first-secret"}})
	file := filepath.Join(t.TempDir(), "password")
	write(t, file, "wrong-secret\n")
	p := place{url: server.URL(), prefix: "p"}
	open := func(ca string) (stream.Sink, error) {
		more := []stream.Entry{{Key: "password", Value: stream.StringOf("file:" + file)}}
		if ca != "" {
			more = append(more, stream.Entry{Key: "ca", Value: stream.StringOf(ca)})
		}
		sink, err := p.sink([]stream.TargetTable{plain}, more...)
		must(t, err)
		t.Cleanup(func() { must(t, sink.Close()) })
		_, err = sink.Open(t.Context(), "f", "t")
		return sink, err
	}
	if _, err := open(""); err == nil {
		t.Fatal("a certificate that no authority signed was taken")
	}
	sink, err := open(cert)
	if wants(t, err, stream.Usage, "WRONGPASS", "password"); strings.Contains(err.Error(), "wrong-secret") {
		t.Fatalf("the password is in %q", err)
	}
	write(t, file, "first-secret\n")
	_, err = sink.Open(t.Context(), "f", "t")
	must(t, err)

	rotate(t, server, cert)
	sinktest.Until(t, func() error { // the connections that were ended come first
		_, err := sink.Assign(t.Context(), 0, sinktest.Origin)
		if err == nil || !strings.Contains(err.Error(), "WRONGPASS") {
			return stream.Errorf(stream.Transient, "wait", "got %v", err)
		}
		if wants(t, err, stream.Transient); strings.Contains(err.Error(), "first-secret") {
			t.Fatalf("the password is in %q", err)
		}
		return nil
	})
	write(t, file, "second-secret")
	sinktest.Until(t, func() error {
		_, err := sink.Assign(t.Context(), 0, sinktest.Origin)
		return err
	})
}

// rotate sets another password and ends all connections, as a server that restarts does.
func rotate(t *testing.T, server *testenv.RedisServer, cert string) {
	t.Helper()
	o, err := rueidis.ParseURL(server.URL())
	must(t, err)
	o.Password, o.ForceSingleClient, o.DisableCache = "first-secret", true, true
	o.TLSConfig.RootCAs = x509.NewCertPool()
	text, err := os.ReadFile(cert)
	must(t, err)
	o.TLSConfig.RootCAs.AppendCertsFromPEM(text)
	c, err := rueidis.NewClient(o)
	must(t, err)
	defer c.Close()
	must(t, c.Do(t.Context(), c.B().ConfigSet().ParameterValue().ParameterValue("requirepass", "second-secret").Build()).Error())
	must(t, c.Do(t.Context(), c.B().ClientKill().TypeNormal().SkipmeYes().Build()).Error())
}

func write(t *testing.T, path, text string) {
	t.Helper()
	must(t, os.WriteFile(path, []byte(text), 0o600))
}
