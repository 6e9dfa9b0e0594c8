package topic_test

import (
	"context"
	"encoding/binary"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet-dev/freshet/sinks/topic"
	"github.com/freshet-dev/freshet/stream"
)

var pages = stream.TargetTable{Table: stream.Table{Name: "pages", Columns: []stream.Field{{Name: "title", Type: stream.TypeString.OrNull()}}}}

var origin = stream.Origin{Flow: "handbook", Target: "out", TopicID: "rows-1", Generation: 1}

// opened opens a sink over the spot's topics. With a line it reaches its broker by that.
func (s spot) opened(t testing.TB, l *line) stream.Sink {
	t.Helper()
	sink, err := s.sink(pages)
	must(t, err)
	if l != nil {
		topic.Dialled(sink, l.dial, l.patience)
	}
	t.Cleanup(func() { must(t, sink.Close()) })
	patiently(t, func() error {
		_, err := sink.Open(t.Context(), origin.Flow, origin.Target)
		return err
	})
	return sink
}

// patiently repeats what fails for the moment, as a delivery does.
func patiently(t testing.TB, do func() error) {
	t.Helper()
	for {
		err := do()
		if stream.KindOf(err) != stream.Transient || t.Context().Err() != nil {
			must(t, err)
			return
		}
	}
}

// assigned takes partition 0, a new one for the origin.
func assigned(t testing.TB, sink stream.Sink) (held stream.Applied) {
	t.Helper()
	patiently(t, func() (err error) {
		if held, err = sink.Assign(t.Context(), 0, origin); err == nil && held.TopicID == "" {
			err = sink.Adopt(t.Context(), 0, origin, 0)
		}
		return err
	})
	return held
}

// applied writes a batch of the writer that holds the partition, as a delivery does.
func applied(t testing.TB, sink stream.Sink, b stream.Batch) {
	t.Helper()
	patiently(t, func() error {
		err := sink.Apply(t.Context(), b)
		if err == nil || stream.KindOf(err) != stream.Transient {
			return err
		}
		if assigned(t, sink).Next == b.To {
			return nil
		}
		return err
	})
}

// write is a batch of one row of page a.
func write(offset int64, title string) stream.Batch {
	row := stream.RowWrite{RowID: stream.RowID{Table: "pages", Document: "a"}, Version: stream.Version{Generation: 1, Offset: offset},
		Columns: []stream.Value{stream.StringOf(title)}, Lineage: []byte(`{}`)}
	return stream.Batch{From: offset, To: offset + 1, Units: []stream.Unit{{Document: "a", Rows: []stream.RowWrite{row}}}}
}

func titles(t testing.TB, sink stream.Sink) (all []string) {
	t.Helper()
	must(t, sink.(stream.Reader).ReadRows(t.Context(), "pages", func(r stream.RowWrite) error {
		all = append(all, r.Columns[0].Str())
		return nil
	}))
	return all
}

func wantTitles(t testing.TB, sink stream.Sink, want ...string) {
	t.Helper()
	got := titles(t, sink)
	if len(got) != len(want) || len(got) == 1 && got[0] != want[0] {
		t.Fatalf("readers see %q, want %q", got, want)
	}
}

// TestLostCommit: a commit whose answer is lost counts or not as it was received, and taking the partition again tells.
func TestLostCommit(t *testing.T) {
	onBoth(t, func(t *testing.T, addr string) {
		t.Run("received", func(t *testing.T) { lostCommit(t, addr, true, 2, "second") })
		t.Run("not received", func(t *testing.T) { lostCommit(t, addr, false, 1, "first") })
	})
}

// TestBrokerInTrouble: a broker that does not say what became of a commit is asked again, as after a lost answer.
func TestBrokerInTrouble(t *testing.T) {
	broker, err := kfake.NewCluster(kfake.NumBrokers(1))
	must(t, err)
	t.Cleanup(broker.Close)
	sink := newSpot(t, broker.ListenAddrs()[0], "json").opened(t, nil)
	assigned(t, sink)
	applied(t, sink, write(0, "first"))
	broker.ControlKey(int16(kmsg.EndTxn), func(req kmsg.Request) (kmsg.Response, error, bool) {
		resp := req.ResponseKind().(*kmsg.EndTxnResponse)
		resp.ErrorCode = kerr.UnknownServerError.Code
		return resp, nil, true
	})
	if err := sink.Apply(t.Context(), write(1, "second")); stream.KindOf(err) != stream.Transient {
		t.Fatalf("a commit that the broker fails at: %v (kind %s)", err, stream.KindOf(err))
	}
	if held := assigned(t, sink); held.Next != 1 {
		t.Fatalf("next is %d, want 1", held.Next)
	}
	applied(t, sink, write(1, "second"))
	wantTitles(t, sink, "second")
}

func lostCommit(t *testing.T, addr string, arrives bool, next int64, shown string) {
	l := &line{patience: 2 * time.Second}
	sink := newSpot(t, addr, "json").opened(t, l)
	assigned(t, sink)
	applied(t, sink, write(0, "first"))
	for l.cut(endTxn, arrives); !l.wasCut(); assigned(t, sink) { // what fails before it was cut is tried again
		if err := sink.Apply(t.Context(), write(1, "second")); stream.KindOf(err) != stream.Transient {
			t.Fatalf("a commit without an answer: %v (kind %s)", err, stream.KindOf(err))
		}
		if l.wasCut() {
			break
		}
	}
	l.restore()
	if err := sink.Apply(t.Context(), write(1, "second")); stream.KindOf(err) != stream.Fenced {
		t.Fatalf("the same batch, before the partition is taken again: %v (kind %s)", err, stream.KindOf(err))
	}
	held := assigned(t, sink)
	if held.Next != next {
		t.Fatalf("next is %d, want %d", held.Next, next)
	}
	wantTitles(t, sink, shown)
	applied(t, sink, write(held.Next, "third"))
	wantTitles(t, sink, "third")
}

// TestZombieBetweenRowsAndCommit: a writer that stood still between its rows and its commit, while another took the
// partition, is refused, and nobody ever sees its rows.
func TestZombieBetweenRowsAndCommit(t *testing.T) { onBoth(t, zombieBetweenRowsAndCommit) }

func zombieBetweenRowsAndCommit(t *testing.T, addr string) {
	s := newSpot(t, addr, "json")
	l := &line{patience: time.Minute}
	zombie := s.opened(t, l)
	assigned(t, zombie)
	applied(t, zombie, write(0, "first"))
	reached, released := l.hold(endTxn)
	failed := make(chan error, 1)
	go func() { failed <- zombie.Apply(t.Context(), write(1, "of the zombie")) }()
	<-reached // its rows are written

	heir := s.opened(t, nil)
	if held := assigned(t, heir); held.Next != 1 {
		t.Fatalf("the heir begins at %d, want 1", held.Next)
	}
	wantTitles(t, heir, "first")
	applied(t, heir, write(1, "of the heir"))
	close(released)
	if err := <-failed; stream.KindOf(err) != stream.Fenced {
		t.Fatalf("the zombie's commit: %v (kind %s)", err, stream.KindOf(err))
	}
	wantTitles(t, heir, "of the heir")
	for _, r := range s.read(t, "pages") {
		if string(r.Value) == `{"title":"of the zombie"}` {
			t.Errorf("a reader of committed records sees the zombie's record, at %d", r.Offset)
		}
	}
	applied(t, heir, write(2, "of the heir, later"))
}

// endTxn is the API key of the request that ends a transaction.
const endTxn = 26

// line is a way to the broker on which requests of one kind can be held back or lost.
type line struct {
	patience time.Duration // of the sink
	mu       sync.Mutex
	key      int16 // 0, which is produce, stands for none
	drop     bool  // the request, else only its answer
	reached  chan struct{}
	released chan struct{}
	down     atomic.Bool
}

// cut lets the connection break at the next request of a kind, once it was passed on or before.
func (l *line) cut(key int16, arrives bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.key, l.drop = key, !arrives
}

func (l *line) wasCut() bool { return l.down.Load() }

// restore lets everything pass again.
func (l *line) restore() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.key, l.reached = 0, nil
	l.down.Store(false)
}

// hold lets the next request of a kind wait until released is closed; reached is closed when it came.
func (l *line) hold(key int16) (reached, released chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.key, l.reached, l.released = key, make(chan struct{}), make(chan struct{})
	return l.reached, l.released
}

func (l *line) dial(ctx context.Context, network, host string) (net.Conn, error) {
	if l.down.Load() {
		return nil, net.ErrClosed
	}
	c, err := (&net.Dialer{}).DialContext(ctx, network, host)
	return &tapped{Conn: c, line: l}, err
}

// tapped is a connection of a line. The client writes each request at once.
type tapped struct {
	net.Conn
	line *line
	deaf atomic.Bool // answers do not arrive
}

// Write implements net.Conn.
func (c *tapped) Write(b []byte) (int, error) {
	l := c.line
	l.mu.Lock()
	meant := l.key != 0 && len(b) >= 6 && int16(binary.BigEndian.Uint16(b[4:])) == l.key
	reached, drop := l.reached, l.drop
	if meant && reached != nil {
		l.key, l.reached = 0, nil
	}
	l.mu.Unlock()
	switch {
	case meant && reached != nil:
		close(reached)
		<-l.released
	case meant:
		l.down.Store(true) // it can't be tried again by another connection
		c.deaf.Store(true)
		if drop {
			return 0, c.Close()
		}
	case l.down.Load():
		return 0, net.ErrClosed
	}
	return c.Conn.Write(b)
}

// Read implements net.Conn.
func (c *tapped) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.deaf.Load() {
		_ = c.Close()
		return 0, net.ErrClosed
	}
	return n, err
}
