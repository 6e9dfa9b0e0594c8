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

// guardedTarget is a store without transactions in a process of its own, which can be killed; its data lie in a file.
type guardedTarget struct {
	ends    *testing.T // with which the process ends
	flow    string
	bin     string
	file    string
	address string
	p       *process
	client  *guarded.Client
}

func newGuarded(t *testing.T, r *rig) target {
	t.Helper()
	v := &guardedTarget{ends: t, flow: r.name, bin: binary(t, "serve"), file: filepath.Join(r.dir, "guarded.store"), address: freeAddress(t)}
	v.client = guarded.Dial(v.url())
	v.start(t)
	return v
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

func (v *guardedTarget) url() string { return "http://" + v.address }

// start starts the server and waits until it answers.
func (v *guardedTarget) start(t *testing.T) {
	t.Helper()
	v.p = launch(t, v.ends, v.bin, nil, v.file, v.address)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for v.client.Open(ctx) != nil {
		select {
		case <-tick.C:
		case <-v.p.done:
			t.Fatalf("the guarded store ended: %v\n%s", v.p.err, v.p.out.String())
		case <-ctx.Done():
			t.Fatalf("the guarded store does not answer\n%s", v.p.out.String())
		}
	}
}

func (v *guardedTarget) restart(t *testing.T) {
	t.Helper()
	v.p.kill()
	v.start(t)
}

func (*guardedTarget) name() string { return "guarded" }

// whole is false: a document's rows become visible one by one.
func (*guardedTarget) whole() bool { return false }

func (*guardedTarget) block() string {
	return `{ guarded: { url: "env:TORTURE_GUARDED" }, tables: [docs, chunks] }`
}

func (v *guardedTarget) env(int) []string { return []string{"TORTURE_GUARDED=" + v.url()} }

func (v *guardedTarget) rows(ctx context.Context, vectors bool) (all []row, err error) {
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

func (v *guardedTarget) applied(ctx context.Context) (map[int32]int64, error) {
	places, err := guard.Places(ctx, v.client, v.flow, v.name())
	at := map[int32]int64{}
	for partition, p := range places {
		at[partition] = p.Next
	}
	return at, err
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
