//go:build synctests

package sim

import (
	"context"
	"sync"

	"github.com/freshet-dev/freshet/stream"
)

// wire is a process's way to a target: a connection that is cut with the rest of its network, and where faults are met.
type wire struct {
	stream.Sink
	p    *process
	name string
	mu   sync.Mutex
}

func (p *process) through(t target) stream.Sink { return &wire{Sink: t.sink(p), p: p, name: t.title()} }

// gone is what a call over a cut connection ends with.
func (s *wire) gone() error {
	if s.p.link.isCut() {
		return stream.Errorf(stream.Transient, "reach target "+s.name, "the connection is lost")
	}
	return nil
}

// call makes one call: it meets the points before and after; the answer of a call may be lost, not its effect.
func (s *wire) call(name string, partition int32, fn func() error) error {
	if err := s.gone(); err != nil {
		return err
	}
	at := map[int32]bool{partition: true}
	if err := s.p.w.meet(s.p, s.name, "before "+name, at); err != nil {
		return err
	}
	if err := s.gone(); err != nil {
		return err
	}
	if err := fn(); err != nil {
		return err
	}
	if err := s.p.w.meet(s.p, s.name, "after "+name, at); err != nil {
		return err
	}
	return s.gone()
}

func (s *wire) Assign(ctx context.Context, p int32, o stream.Origin) (a stream.Applied, err error) {
	err = s.call("assign", p, func() (err error) {
		a, err = s.Sink.Assign(ctx, p, o)
		return err
	})
	return a, err
}

func (s *wire) Adopt(ctx context.Context, p int32, o stream.Origin, next int64) error {
	return s.call("adopt", p, func() error { return s.Sink.Adopt(ctx, p, o, next) })
}

func (s *wire) Apply(ctx context.Context, b stream.Batch) error {
	return s.call("apply", b.Partition, func() error { return s.Sink.Apply(ctx, b) })
}

func (s *wire) StartRebuild(ctx context.Context, p int32, end int64) error {
	return s.call("start of a rebuild", p, func() error { return s.Sink.StartRebuild(ctx, p, end) })
}

func (s *wire) Stage(ctx context.Context, b stream.Batch) error {
	return s.call("stage", b.Partition, func() error { return s.Sink.Stage(ctx, b) })
}

func (s *wire) Switch(ctx context.Context, p int32, end int64) error {
	return s.call("switch", p, func() error { return s.Sink.Switch(ctx, p, end) })
}

func (s *wire) Sweep(ctx context.Context, p, partitions int32, before stream.Version) error {
	return s.call("sweep", p, func() error { return s.Sink.Sweep(ctx, p, partitions, before) })
}
