package torture

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/redis/rueidis"

	"github.com/freshet-dev/freshet/internal/testenv"
	"github.com/freshet-dev/freshet/stream"
)

// redisTarget is a real Redis server, which can be killed; every write is on disk before it is answered. Each replica reaches it by a link
// of its own, which can hold a request back.
type redisTarget struct {
	ends   *testing.T // with which the links end
	flow   string
	server *testenv.RedisServer
	client rueidis.Client
	mu     sync.Mutex
	links  map[int]*heldLink // by ordinal
}

func newRedis(t *testing.T, r *rig) target {
	t.Helper()
	v := &redisTarget{ends: t, flow: r.name, server: testenv.Redis(t, testenv.RedisOptions{Durable: true}), links: map[int]*heldLink{}}
	var err error
	v.client, err = rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{v.server.Addr()}, ForceSingleClient: true, DisableCache: true,
		DisableRetry: true, PipelineMultiplex: -1, AlwaysPipelining: true})
	must(t, err)
	t.Cleanup(v.client.Close)
	return v
}

func (*redisTarget) name() string { return "redis" }

// whole is false: a document's hashes become visible one by one.
func (*redisTarget) whole() bool { return false }

func (*redisTarget) block() string {
	return `{ redis: { url: "env:TORTURE_REDIS" }, tables: [docs, chunks] }`
}

func (v *redisTarget) env(ordinal int) []string {
	return []string{"TORTURE_REDIS=redis://" + v.link(ordinal).listener.Addr().String()}
}

func (v *redisTarget) link(ordinal int) *heldLink {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.links[ordinal] == nil {
		v.links[ordinal] = newHeldLink(v.ends, v.server.Addr())
	}
	return v.links[ordinal]
}

func (v *redisTarget) restart(t *testing.T) {
	t.Helper()
	v.server.Kill()
	v.server.Start(t)
}

// rows asks for the names of all hashes, then for the hashes; one that goes meanwhile is left out.
func (v *redisTarget) rows(ctx context.Context, vectors bool) (all []row, err error) {
	for _, table := range []string{"docs", "chunks"} {
		names := map[string]bool{}
		for at, first := uint64(0), true; first || at != 0; first = false {
			page, err := v.client.Do(ctx, v.client.B().Scan().Cursor(at).Match("freshet:"+table+":*").Count(1000).Build()).AsScanEntry()
			if err != nil {
				return nil, gone(err)
			}
			for _, name := range page.Elements {
				names[name] = true
			}
			at = page.Cursor
		}
		for name := range names {
			held, err := v.client.Do(ctx, v.client.B().Hgetall().Key(name).Build()).AsStrMap()
			if err != nil {
				return nil, gone(err)
			}
			if len(held) > 0 {
				all = append(all, rowOfHash(table, held, vectors))
			}
		}
	}
	return all, nil
}

func rowOfHash(table string, held map[string]string, vectors bool) row {
	n := func(field string) int64 {
		i, _ := strconv.ParseInt(held[field], 10, 64)
		return i
	}
	s := row{table: table, document: held["_document"], key: held["_key"], version: n("_version"), id: n("id"), rev: n("rev"), parts: n("parts"), text: held["text"]}
	if raw, err := stream.RawVectorOf(stream.F32, []byte(held["embedding"])); vectors && err == nil && held["embedding"] != "" {
		s.vector = raw.Floats()
	}
	return s
}

// gone is the error of a request; what a killed server causes is transient.
func gone(err error) error {
	if answer, ok := rueidis.IsRedisErr(err); ok && !strings.HasPrefix(answer.Error(), "LOADING") {
		return err
	}
	return &stream.Error{Op: "read Redis", Kind: stream.Transient, Err: err}
}

// applied reads the bookkeeping, where each partition has a document in JSON after its sequence.
func (v *redisTarget) applied(ctx context.Context) (map[int32]int64, error) {
	books, err := v.client.Do(ctx, v.client.B().Hgetall().Key("freshet:_freshet").Build()).AsStrMap()
	if err != nil {
		return nil, gone(err)
	}
	at := map[int32]int64{}
	for key, text := range books {
		if !strings.HasPrefix(key, "freshet/place/"+v.flow+"/"+v.name()+"/") {
			continue
		}
		var place struct {
			Partition int32
			Next      int64
		}
		_, body, _ := strings.Cut(text, " ")
		if err := json.Unmarshal([]byte(body), &place); err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		at[place.Partition] = place.Next
	}
	return at, nil
}

// freezeInside stops a replica whose rows are on their way: they come to the server when another has taken over and has written more.
func (v *redisTarget) freezeInside(t *testing.T, x *replica) (thaw func()) {
	t.Helper()
	held, release := v.link(x.ordinal).hold("_freshet:gone:chunks")
	x.rig.until(t, "a write of "+x.name+" is on its way", func(context.Context) bool {
		select {
		case <-held:
			return true
		default:
			return false
		}
	})
	x.p.signal(syscall.SIGSTOP)
	x.stops(t, "a write")
	stood, err := v.applied(t.Context())
	must(t, err)
	return func() {
		x.rig.until(t, "newer rows are written than those of "+x.name, func(ctx context.Context) bool {
			now, err := v.applied(ctx)
			for p, was := range stood {
				if now[p] <= was {
					return false
				}
			}
			return err == nil
		})
		release()
	}
}

// evict does nothing: the server waits for nobody.
func (*redisTarget) evict(context.Context, *testing.T, *replica) {}

// heldLink leads one replica to a server, and can hold a request back.
type heldLink struct {
	listener net.Listener
	server   string

	mu    sync.Mutex
	armed *hold
}

type hold struct {
	text         []byte
	held, resume chan struct{}
}

func newHeldLink(t *testing.T, server string) *heldLink {
	t.Helper()
	l := &heldLink{server: server}
	var err error
	l.listener, err = net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { _ = l.listener.Close() })
	go func() {
		for {
			client, err := l.listener.Accept()
			if err != nil {
				return
			}
			go l.serve(client)
		}
	}()
	return l
}

// hold has the next request that holds text wait until it is released; held is closed when it does.
func (l *heldLink) hold(text string) (held <-chan struct{}, release func()) {
	h := &hold{[]byte(text), make(chan struct{}), make(chan struct{})}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.armed = h
	return h.held, sync.OnceFunc(func() { close(h.resume) })
}

// serve ends when either side does.
func (l *heldLink) serve(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", l.server)
	if err != nil {
		return
	}
	defer server.Close()
	go func() {
		_, _ = io.Copy(client, server)
		_ = client.Close()
	}()
	buf := make([]byte, 1<<20)
	for {
		n, err := client.Read(buf)
		if n > 0 {
			l.wait(buf[:n])
			if _, err := server.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (l *heldLink) wait(sent []byte) {
	l.mu.Lock()
	h := l.armed
	if h == nil || !bytes.Contains(sent, h.text) {
		l.mu.Unlock()
		return
	}
	l.armed = nil
	l.mu.Unlock()
	close(h.held)
	<-h.resume
}
