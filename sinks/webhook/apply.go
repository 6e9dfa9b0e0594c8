package webhook

import (
	"context"

	"github.com/freshet-dev/freshet/stream"
)

// Apply sends a batch, whose rows and next offset the receiver takes in one transaction. See stream.Sink.
func (s *Sink) Apply(ctx context.Context, b stream.Batch) error {
	return s.send(ctx, "apply to", "write", b, func(p place) bool { return p.Next == b.To })
}

// Stage sends a batch of a rebuild, out of readers' sight. See stream.Sink.
func (s *Sink) Stage(ctx context.Context, b stream.Batch) error {
	return s.send(ctx, "stage a rebuild of", "stage", b, func(p place) bool { return p.Rebuild != nil && p.Rebuild.Next == b.To })
}

func (s *Sink) send(ctx context.Context, doing, do string, b stream.Batch, done func(place) bool) error {
	t := s.tenure(b.Partition)
	if t == nil {
		return s.lost(doing, b.Partition)
	}
	r := &request{Do: do, Partition: &b.Partition, span: &span{t.Generation, b.From, b.To}}
	if err := s.rowsOf(r, b); err != nil {
		return err
	}
	return s.step(ctx, doing, r, done)
}

// StartRebuild empties the stage and notes what is to be read again. See stream.Sink.
func (s *Sink) StartRebuild(ctx context.Context, partition int32, end int64) error {
	return s.set(ctx, "start a rebuild of", partition, func(p *place) { p.Rebuild = rebuildOf(p.Generation, end) })
}

// Switch replaces the partition's rows by the staged ones, in one transaction of the receiver's. See stream.Sink.
func (s *Sink) Switch(ctx context.Context, partition int32, end int64) error {
	return s.step(ctx, "switch to the rebuild of", &request{Do: "switch", Partition: &partition, End: &end},
		func(p place) bool { return p.Rebuild == nil && p.Next >= end })
}

// Sweep deletes rows of the partition, and of those beyond the count that fall to it, below a version. See stream.Sink.
func (s *Sink) Sweep(ctx context.Context, partition, partitions int32, before stream.Version) error {
	return s.step(ctx, "sweep", &request{Do: "sweep", Partition: &partition, Partitions: partitions, Before: before.Pack()},
		func(place) bool { return true })
}
