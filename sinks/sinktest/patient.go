package sinktest

import (
	"context"
	"errors"

	"github.com/freshet-dev/freshet/stream"
)

// Patient returns the sink with every call repeated until it no longer fails for a transient reason, as the delivery does; reading aside.
func Patient(s stream.Sink) stream.Sink { return patient{s} }

type patient struct{ stream.Sink }

func patiently(ctx context.Context, call func() error) error {
	for {
		if err := call(); err == nil || stream.KindOf(err) != stream.Transient || ctx.Err() != nil {
			return err
		}
	}
}

func (p patient) Open(ctx context.Context, flow, target string) (changed []string, err error) {
	err = patiently(ctx, func() (err error) { changed, err = p.Sink.Open(ctx, flow, target); return err })
	return changed, err
}

func (p patient) Recreate(ctx context.Context, tables []string) error {
	return patiently(ctx, func() error { return p.Sink.Recreate(ctx, tables) })
}

func (p patient) Assign(ctx context.Context, partition int32, o stream.Origin) (a stream.Applied, err error) {
	err = patiently(ctx, func() (err error) { a, err = p.Sink.Assign(ctx, partition, o); return err })
	return a, err
}

func (p patient) Adopt(ctx context.Context, partition int32, o stream.Origin, next int64) error {
	return patiently(ctx, func() error { return p.Sink.Adopt(ctx, partition, o, next) })
}

func (p patient) Apply(ctx context.Context, b stream.Batch) error {
	return patiently(ctx, func() error { return p.Sink.Apply(ctx, b) })
}

func (p patient) StartRebuild(ctx context.Context, partition int32, end int64) error {
	return patiently(ctx, func() error { return p.Sink.StartRebuild(ctx, partition, end) })
}

func (p patient) Stage(ctx context.Context, b stream.Batch) error {
	return patiently(ctx, func() error { return p.Sink.Stage(ctx, b) })
}

func (p patient) Switch(ctx context.Context, partition int32, end int64) error {
	return patiently(ctx, func() error { return p.Sink.Switch(ctx, partition, end) })
}

func (p patient) Sweep(ctx context.Context, partition, partitions int32, before stream.Version) error {
	return patiently(ctx, func() error { return p.Sink.Sweep(ctx, partition, partitions, before) })
}

func (p patient) ReadRows(ctx context.Context, table string, each func(stream.RowWrite) error) error {
	r, ok := p.Sink.(stream.Reader)
	if !ok {
		return errors.New("the sink can't be read")
	}
	return r.ReadRows(ctx, table, each)
}
