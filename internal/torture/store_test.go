package torture

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/freshet-dev/freshet/internal/testenv/guarded"
	"github.com/freshet-dev/freshet/sinks/guard"
	"github.com/freshet-dev/freshet/stream"
)

// store is a target without transactions in a process of its own, which can be killed; its data lie in a file.
type store struct {
	whole   *testing.T
	bin     string
	file    string
	address string
	p       *process
}

func newStore(t *testing.T, dir string) *store {
	t.Helper()
	s := &store{whole: t, bin: binary(t, "serve"), file: filepath.Join(dir, "guarded.store"), address: freeAddress(t)}
	s.start(t)
	return s
}

// freeAddress finds a port below those that Linux gives to outgoing connections: while the server is down, nobody takes it.
func freeAddress(t *testing.T) string {
	t.Helper()
	for range 1000 {
		address := fmt.Sprintf("127.0.0.1:%d", 20000+rand.IntN(12000))
		if l, err := net.Listen("tcp", address); err == nil {
			_ = l.Close()
			return address
		}
	}
	t.Fatal("no free port")
	return ""
}

func (s *store) url() string { return "http://" + s.address }

// start starts the server and waits until it answers.
func (s *store) start(t *testing.T) {
	t.Helper()
	s.p = launch(t, s.whole, s.bin, nil, s.file, s.address)
	client := guarded.Dial(s.url())
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for client.Open(ctx) != nil {
		select {
		case <-tick.C:
		case <-s.p.done:
			t.Fatalf("the guarded store ended: %v\n%s", s.p.err, s.p.out.String())
		case <-ctx.Done():
			t.Fatalf("the guarded store does not answer\n%s", s.p.out.String())
		}
	}
}

// restart kills the server and starts it again on the same data.
func (s *store) restart(t *testing.T) {
	t.Helper()
	s.p.kill()
	s.start(t)
}

// guardedView reads the store over its protocol.
type guardedView struct{ client *guarded.Client }

func (r *rig) guarded() *guardedView { return &guardedView{guarded.Dial(r.store.url())} }

func (*guardedView) name() string { return "guarded" }

// whole is false: a document's rows become visible one by one.
func (*guardedView) whole() bool { return false }

func (v *guardedView) rows(ctx context.Context, vectors bool) (all []row, err error) {
	for _, table := range []string{"docs", "chunks"} {
		if _, there, err := v.client.Shape(ctx, table); err != nil || !there {
			return nil, err
		}
		err := v.client.Read(ctx, table, func(i guard.Item) error {
			s := rowOf(i.RowWrite)
			if !vectors {
				s.vector = nil
			}
			all = append(all, s)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// rowOf takes a row of either table, as freshet's own types hold it.
func rowOf(w stream.RowWrite) row {
	s := row{table: w.Table, document: w.Document, key: w.Key, version: w.Version.Pack()}
	for i, c := range tables[w.Table].Columns {
		switch v := w.Columns[i]; c.Name {
		case "id":
			s.id = v.Int()
		case "rev":
			s.rev = v.Int()
		case "parts":
			s.parts = v.Int()
		case "text":
			s.text = v.Str()
		case "embedding":
			s.vector = v.Floats()
		}
	}
	return s
}
