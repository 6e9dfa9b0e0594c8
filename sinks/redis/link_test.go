package redis_test

import (
	"bytes"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/freshet-dev/freshet/internal/testenv"
)

// link leads to a server, and can hold back a request.
type link struct {
	listener net.Listener
	server   string

	mu     sync.Mutex
	armed  []byte
	held   chan struct{} // closed when a request is held back
	resume chan struct{} // closed to let it go
	once   sync.Once
	open   []net.Conn
}

func newLink(t testing.TB, server *testenv.RedisServer) *link {
	t.Helper()
	l := &link{server: server.Addr(), held: make(chan struct{}), resume: make(chan struct{})}
	var err error
	l.listener, err = net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
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
		l.release()
		l.mu.Lock()
		for _, c := range l.open {
			_ = c.Close()
		}
		l.mu.Unlock()
		wg.Wait()
	})
	return l
}

func (l *link) url() string { return "redis://" + l.listener.Addr().String() }

// hold has the next request that holds text wait.
func (l *link) hold(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.armed = []byte(text)
}

func (l *link) release() { l.once.Do(func() { close(l.resume) }) }

func (l *link) serve(client net.Conn) {
	server, err := net.Dial("tcp", l.server)
	if err != nil {
		_ = client.Close()
		return
	}
	l.mu.Lock()
	l.open = append(l.open, client, server)
	l.mu.Unlock()
	var wg sync.WaitGroup
	wg.Go(func() {
		_, _ = io.Copy(client, server)
		_ = client.Close()
	})
	buf := make([]byte, 1<<20)
	for {
		n, err := client.Read(buf)
		if n > 0 {
			l.wait(buf[:n])
			_, _ = server.Write(buf[:n])
		}
		if err != nil {
			break
		}
	}
	_ = server.Close()
	wg.Wait()
}

func (l *link) wait(sent []byte) {
	l.mu.Lock()
	hit := l.armed != nil && bytes.Contains(sent, l.armed)
	if hit {
		l.armed = nil
	}
	l.mu.Unlock()
	if hit {
		close(l.held)
		<-l.resume
	}
}
