package snowflake

import (
	"context"
	"fmt"

	"github.com/freshet-dev/freshet/sinks/place"
	"github.com/freshet-dev/freshet/stream"
)

// StartRebuild empties the stage and notes the rebuild. A deletion that lies between end and a higher next offset is in no stage and would be
// undone by the switch; so next goes back to end, and records from there are applied once more: a writer that didn't expect this is fenced, and
// learns it from Assign. Repeatable.
func (s *Sink) StartRebuild(ctx context.Context, partition int32, end int64) error {
	return classed(s.op("start to rebuild"), s.guarded(ctx, partition, func(tx txn, h place.Place) error {
		if err := s.emptyStage(ctx, tx, partition); err != nil {
			return err
		}
		h.Next, h.Rebuild = min(h.Next, end), &stream.Rebuild{End: end}
		return s.savePlace(ctx, tx, partition, h)
	}))
}

// allPartitions is more than any topic has.
const allPartitions = int64(1) << 32

// Switch makes the stage's rows those of the partition (invariant 5: in one transaction), and ends the rebuild. Rows newer than the rebuild stay
// (invariant 3), and so do those of older generations.
func (s *Sink) Switch(ctx context.Context, partition int32, end int64) error {
	return classed(s.op("end the rebuild of"), s.take(ctx, partition, place.Step{Move: place.Finish, To: end}, func(tx txn, h place.Place) error {
		if !h.Staged(end) {
			return stream.Errorf(stream.Internal, s.op("end the rebuild of"),
				"partition %d: the stage does not hold a rebuild up to offset %d", partition, end)
		}
		before := stream.Version{Generation: h.Generation, Offset: end}.Pack()
		for _, t := range s.order {
			_, err := tx.exec(ctx, t.unstagedSQL(), partition, allPartitions, partition, before, stream.FirstOf(h.Generation).Pack())
			if err == nil {
				_, err = tx.exec(ctx, t.unstageSQL(), before, partition)
			}
			if err != nil {
				return fmt.Errorf("table %q: %w", t.name, err)
			}
		}
		if err := s.emptyStage(ctx, tx, partition); err != nil {
			return err
		}
		h.Next, h.Rebuild = max(h.Next, end), nil
		return s.savePlace(ctx, tx, partition, h)
	}))
}

// Sweep deletes the partition's rows below a version that are not staged. Repeatable.
func (s *Sink) Sweep(ctx context.Context, partition, partitions int32, before stream.Version) error {
	return classed(s.op("sweep"), s.guarded(ctx, partition, func(tx txn, _ place.Place) error {
		for _, t := range s.order {
			if _, err := tx.exec(ctx, t.unstagedSQL(), partition, partitions, partition, before.Pack(), 0); err != nil {
				return fmt.Errorf("table %q: %w", t.name, err)
			}
		}
		return nil
	}))
}

func (s *Sink) emptyStage(ctx context.Context, tx txn, partition int32) error {
	for _, t := range s.order {
		if _, err := tx.exec(ctx, "DELETE FROM "+t.staged.quoted+` WHERE "_partition" = ?`, partition); err != nil {
			return fmt.Errorf("stage of table %q: %w", t.name, err)
		}
	}
	return nil
}
