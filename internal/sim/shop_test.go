//go:build synctests

package sim

import (
	"context"
	"time"

	"github.com/freshet-dev/freshet/internal/testenv/guarded"
	"github.com/freshet-dev/freshet/sinks/guard"
	"github.com/freshet-dev/freshet/stream"
)

// shop is a target without transactions: each row is put on condition of its version, requests fail in part.
type shop struct {
	name    string
	byBatch bool
	store   *guarded.Store
	client  *guarded.Client
	backup  []byte
	wrong   []string
}

func newShop(name string, byBatch bool) *shop {
	s := &shop{name: name, byBatch: byBatch, store: guarded.NewStore()}
	s.client = s.store.Client()
	return s
}

func (s *shop) title() string { return s.name }

func (s *shop) sink(p *process) stream.Sink {
	sink, err := guard.New(&counter{s.client, p, s.name}, []guard.Table{{Table: tables["lines"], As: "lines"}},
		guard.Options{ByBatch: s.byBatch, Chunk: 6, Now: func() time.Time { return time.Unix(0, p.w.now()) }})
	if err != nil {
		panic(err) // the tables are the same in all runs
	}
	for {
		if _, err = sink.Open(context.Background(), flowName, s.name); stream.KindOf(err) != stream.Transient || err == nil {
			break
		}
		<-time.After(100 * time.Millisecond) // as the command that opens targets does
	}
	if err != nil {
		s.wrong = append(s.wrong, "open the guarded target: "+err.Error())
	}
	return sink
}

func (s *shop) next() map[int32]int64 {
	out := map[int32]int64{}
	places, err := guard.Places(context.Background(), s.client, flowName, s.name)
	for p, a := range places {
		if err == nil && a.Rebuild == nil {
			out[p] = a.Next
		}
	}
	return out
}

func (s *shop) all() map[string]map[string]string {
	out := map[string]map[string]string{}
	err := s.client.Read(context.Background(), "lines", func(i guard.Item) error {
		if out[i.Document] == nil {
			out[i.Document] = map[string]string{}
		}
		out[i.Document][i.Key] = i.Columns[0].Str()
		return nil
	})
	if err != nil {
		return map[string]map[string]string{"unreadable": {err.Error(): ""}}
	}
	return out
}

func (s *shop) problems() []string { return s.wrong }

func (s *shop) keep() {
	if b, err := s.client.Backup(context.Background()); err == nil {
		s.backup = b
	}
}

func (s *shop) restore() bool {
	return s.backup != nil && s.client.Restore(context.Background(), s.backup) == nil
}

// counter is where a process's requests reach the shop: they end with its link, and faults are met between them.
type counter struct {
	guard.Store
	p    *process
	name string
}

func (c *counter) Put(ctx context.Context, table string, items []guard.Item) error {
	w := &wire{p: c.p, name: c.name}
	return w.call("put", items[0].Partition, func() error { return c.Store.Put(ctx, table, items) })
}

func (c *counter) Swap(ctx context.Context, held guard.Document, body []byte) (guard.Document, error) {
	w := &wire{p: c.p, name: c.name}
	if err := w.gone(); err != nil {
		return guard.Document{}, err
	}
	return c.Store.Swap(ctx, held, body)
}

func (c *counter) Scan(ctx context.Context, table string, in guard.Range, limit int) ([]guard.Held, error) {
	w := &wire{p: c.p, name: c.name}
	if err := w.gone(); err != nil {
		return nil, err
	}
	return c.Store.Scan(ctx, table, in, limit)
}
