package postgres_test

import (
	"context"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
)

// link is a connection to the server that can be cut at a COMMIT.
type link struct {
	t        testing.TB
	url      string
	server   string
	listener net.Listener
	mode     atomic.Int32
	mu       sync.Mutex
	open     []net.Conn
}

const (
	whole int32 = iota
	cutBefore
	cutAfter
	cutAfterAndStay
	away
)

func newLink(t testing.TB, target string) *link {
	t.Helper()
	u, err := url.Parse(target)
	must(t, err)
	l := &link{t: t, server: u.Host}
	l.listener, err = net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	u.Host = l.listener.Addr().String()
	l.url = u.String()
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.listener.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { l.serve(c) })
		}
	})
	t.Cleanup(func() {
		_ = l.listener.Close()
		l.cut()
		wg.Wait()
	})
	return l
}

func (l *link) cutAtCommit(arrives, outage bool) {
	switch {
	case outage:
		l.mode.Store(cutAfterAndStay)
	case arrives:
		l.mode.Store(cutAfter)
	default:
		l.mode.Store(cutBefore)
	}
}

func (l *link) restore() { l.mode.Store(whole) }

func (l *link) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.open {
		_ = c.Close()
	}
	l.open = nil
}

func (l *link) serve(client net.Conn) {
	if l.mode.Load() == away {
		_ = client.Close()
		return
	}
	server, err := (&net.Dialer{}).DialContext(context.WithoutCancel(l.t.Context()), "tcp", l.server)
	if err != nil {
		_ = client.Close()
		return
	}
	l.mu.Lock()
	l.open = append(l.open, client, server)
	l.mu.Unlock()
	var answered atomic.Bool // the answer to COMMIT is not passed on
	var wg sync.WaitGroup
	wg.Go(func() { l.answers(client, server, &answered) })
	l.asks(client, server, &answered)
	wg.Wait()
}

// asks passes the client's messages on until one says commit.
func (l *link) asks(client, server net.Conn, cutting *atomic.Bool) {
	defer server.Close()
	buf := make([]byte, 1<<16)
	for {
		n, err := client.Read(buf)
		if err != nil {
			return
		}
		if isCommit(buf[:n]) && l.mode.Load() != whole {
			cutting.Store(true)
			if l.mode.CompareAndSwap(cutBefore, whole) {
				_ = client.Close()
				return
			}
		}
		if _, err := server.Write(buf[:n]); err != nil {
			return
		}
	}
}

// answers passes the server's messages on, but for the answer to a COMMIT that is to be lost.
func (l *link) answers(client, server net.Conn, cutting *atomic.Bool) {
	defer client.Close()
	buf := make([]byte, 1<<16)
	for {
		n, err := server.Read(buf)
		if err != nil {
			return
		}
		if cutting.Load() {
			l.mode.CompareAndSwap(cutAfter, whole)
			l.mode.CompareAndSwap(cutAfterAndStay, away)
			return
		}
		if _, err := client.Write(buf[:n]); err != nil {
			return
		}
	}
}

// isCommit recognises the simple query "commit" of the protocol: 'Q', length, text, NUL.
func isCommit(message []byte) bool {
	return len(message) == 12 && message[0] == 'Q' && string(message[5:11]) == "commit"
}
