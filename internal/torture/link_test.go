package torture

import (
	"bytes"
	"context"
	"io"
	"net"
	"sync"
	"syscall"
	"testing"
)

// links lead to a server, one for each replica.
type links struct {
	ends   *testing.T // with which they end
	server string     // address

	mu  sync.Mutex
	all map[int]*heldLink // by ordinal
}

func newLinks(t *testing.T, server string) *links {
	return &links{ends: t, server: server, all: map[int]*heldLink{}}
}

func (l *links) link(ordinal int) *heldLink {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all[ordinal] == nil {
		l.all[ordinal] = newHeldLink(l.ends, l.server)
	}
	return l.all[ordinal]
}

// freeze stops a replica whose request with a text is on its way. What it returns lets the request go on, once all partitions have gone on
// without it.
func (l *links) freeze(t *testing.T, x *replica, text string, applied func(context.Context) (map[int32]int64, error)) (thaw func()) {
	t.Helper()
	held, release := l.link(x.ordinal).hold(text)
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
	stood, err := applied(t.Context())
	must(t, err)
	return func() {
		x.rig.until(t, "newer rows are written than those of "+x.name, func(ctx context.Context) bool {
			now, err := applied(ctx)
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
