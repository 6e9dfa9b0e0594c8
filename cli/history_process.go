package cli

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/freshet-dev/freshet/flow"
	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/engine"
	"github.com/freshet-dev/freshet/stream/kafka"
)

// historyProcess is a process of the flow on an embedded broker, without a watcher: the replay writes the source's topic
// itself. It implements history.Process.
type historyProcess struct {
	app   *app
	to    *kafka.Publisher
	stop  context.CancelFunc
	ended chan struct{} // closed when the process ended; err is set before
	err   error
}

// start starts a process on the state below dir, into the given targets.
func (b *historyBench) start(ctx context.Context, dir string, into []flow.Target) (*historyProcess, error) {
	o := b.options
	o.dataDir, o.embedded, o.roles, o.targets = dir, true, []string{"intake", "process", "sinks"}, nil
	a, err := newApp(o)
	if err != nil {
		return nil, err
	}
	a.flow.Targets = slices.Clone(into)
	if dir == b.dataDir {
		for i := range a.flow.Targets {
			a.flow.Targets[i].Spec = b.freshness.Watch(a.flow.Targets[i].Spec)
		}
	}
	p := &historyProcess{app: a, ended: make(chan struct{})}
	if err := p.open(ctx); err != nil {
		p.release()
		return nil, err
	}
	return p, nil
}

func (p *historyProcess) open(ctx context.Context) (err error) {
	if err := p.app.connect(ctx); err != nil {
		return err
	}
	if err := p.app.prepare(ctx); err != nil {
		return err
	}
	if p.to, err = p.app.cluster.OpenPublisher(p.app.filesSources()[0].Topic); err != nil {
		return err
	}
	ctx, p.stop = context.WithCancel(ctx)
	if err := p.app.start(ctx); err != nil {
		p.stop()
		return err
	}
	go func() {
		p.err = p.app.run(ctx)
		close(p.ended)
	}()
	return nil
}

// Stop implements history.Process.
func (p *historyProcess) Stop() error {
	p.stop()
	<-p.ended
	p.release()
	return p.err
}

// release gives up what the process holds, so that the next one can take it.
func (p *historyProcess) release() {
	if p.to != nil {
		p.to.Close()
	}
	p.app.close()
}

// Publish implements history.Process.
func (p *historyProcess) Publish(ctx context.Context, records []stream.Record) error {
	return p.to.Publish(ctx, records)
}

// Counts implements history.Process.
func (p *historyProcess) Counts() engine.Counts { return p.app.totals.Snapshot() }

// Held implements history.Process.
func (p *historyProcess) Held() engine.Stats { return kafka.Totals(p.app.processor.Status()) }

// Quarantined implements history.Process.
func (p *historyProcess) Quarantined() (ids []string, err error) {
	for _, partition := range p.app.processor.Held() {
		s, release, ok := p.app.processor.Store(partition)
		if !ok {
			continue
		}
		err = errors.Join(err, engine.Documents(s, func(h engine.Header) error {
			if h.Status == engine.Quarantined {
				ids = append(ids, h.ID)
			}
			return nil
		}))
		release()
	}
	return ids, err
}

// RowsEnd implements history.Process.
func (p *historyProcess) RowsEnd(ctx context.Context) (sum int64, err error) {
	ends, err := p.app.cluster.RowsEnds(ctx, p.app.topics)
	for _, end := range ends {
		sum += end
	}
	return sum, err
}

// Settle implements history.Process. Where topics end is asked once, since only this process writes: the source ends
// after what was published, and the rows topic no longer grows when the processor has read that.
func (p *historyProcess) Settle(ctx context.Context) error {
	if err := p.await(ctx, func() (bool, error) { return p.app.takenIn(ctx) }); err != nil {
		return err
	}
	ends, err := p.app.cluster.SourceEnds(ctx, p.app.topics)
	if err != nil {
		return err
	}
	if err := p.await(ctx, func() (bool, error) { return p.processed(ends) }); err != nil {
		return err
	}
	rows, err := p.app.cluster.RowsEnds(ctx, p.app.topics)
	if err != nil {
		return err
	}
	return p.await(ctx, func() (bool, error) { return p.delivered(rows), nil })
}

// await asks again and again, each time at once in memory.
func (p *historyProcess) await(ctx context.Context, done func() (bool, error)) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-p.ended:
			return errors.Join(p.err, ctx.Err())
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (p *historyProcess) processed(ends kafka.Ends) (bool, error) {
	parts := p.app.processor.Status()
	for _, part := range parts {
		if part.State == "stopped" {
			return false, &exit{exitFailed, "partition " + part.Error}
		}
		if part.State != "ready" || part.Busy || part.Next < ends[part.Partition] {
			return false, nil
		}
	}
	return len(parts) == len(ends), nil
}

func (p *historyProcess) delivered(ends kafka.Ends) bool {
	for _, t := range p.app.flow.Targets {
		d := p.app.delivery(t.Name)
		if d == nil || !atEnd(d, ends) {
			return false
		}
	}
	return true
}
