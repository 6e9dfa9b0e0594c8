//go:build synctests

package sim

import (
	"context"
	"net"
	"sync"
	"time"
)

const (
	// unanswered is how long a dial takes over a link that is cut.
	unanswered = 500 * time.Millisecond
	// latency is how long each write takes. Were requests answered at the moment that they are sent, a client that asks
	// again until something happens which takes time would ask for ever: this time would not pass. (kgo fetches again
	// at once from a broker that does not lead any more, while its loop that moves partitions waits for a request.)
	latency = 200 * time.Microsecond
)

// dial reaches the brokers.
func (w *world) dial(ctx context.Context, network, host string) (net.Conn, error) {
	c, err := w.network.DialContext(ctx, network, host)
	if err != nil {
		return nil, err
	}
	return far{c}, nil
}

// far is a connection over which data takes a moment.
type far struct{ net.Conn }

func (c far) Write(b []byte) (int, error) {
	<-time.After(latency)
	return c.Conn.Write(b)
}

// link is a process's way to the brokers and targets. While it is cut, whatever it does reaches nobody.
type link struct {
	dial  func(ctx context.Context, network, host string) (net.Conn, error)
	mu    sync.Mutex
	cut   bool
	conns map[net.Conn]bool
}

func (l *link) open(ctx context.Context, network, host string) (net.Conn, error) {
	if l.isCut() {
		// Nobody answers, which takes its time: were the dial refused at once, a client could try for ever at one moment.
		select {
		case <-time.After(unanswered):
		case <-ctx.Done():
		}
		return nil, &net.OpError{Op: "dial", Net: "virtual", Err: net.ErrClosed}
	}
	c, err := l.dial(ctx, network, host)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut {
		_ = c.Close() // cut meanwhile
		return nil, &net.OpError{Op: "dial", Net: "virtual", Err: net.ErrClosed}
	}
	if l.conns == nil {
		l.conns = map[net.Conn]bool{}
	}
	l.conns[c] = true
	return c, nil
}

func (l *link) isCut() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cut
}

func (l *link) sever() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = true
	for c := range l.conns {
		_ = c.Close() // it may be closed
	}
	l.conns = nil
}

func (l *link) restore() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = false
}
