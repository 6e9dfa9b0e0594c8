package snowflake

import (
	"context"

	"github.com/freshet-dev/freshet/sinks/place"
	"github.com/freshet-dev/freshet/stream"
)

// Apply writes a batch and moves the partition's next offset, in one transaction.
func (s *Sink) Apply(ctx context.Context, b stream.Batch) error {
	return classed(s.op("write to"), s.take(ctx, b.Partition, place.Step{Move: place.Live, From: b.From, To: b.To}, func(tx txn, h place.Place) error {
		if h.Next != b.From {
			return place.ErrFenced
		}
		rebuilding := h.Rebuild != nil
		err := s.eachTable(b, func(t *table, upserts, deletes []stream.RowWrite) error {
			if rebuilding {
				if err := write(ctx, tx, t, t.staged.remove, appendRemoval, b.Partition, deletes); err != nil {
					return err
				}
			}
			return writeTo(ctx, tx, t, t.live, b.Partition, upserts, deletes)
		})
		if err != nil {
			return err
		}
		h.Next = b.To
		return s.savePlace(ctx, tx, b.Partition, h)
	}))
}

// Stage writes a batch to the stage and moves the rebuild's next offset, in one transaction.
func (s *Sink) Stage(ctx context.Context, b stream.Batch) error {
	return classed(s.op("rebuild"), s.take(ctx, b.Partition, place.Step{Move: place.Stage, From: b.From, To: b.To}, func(tx txn, h place.Place) error {
		if h.Rebuild == nil || h.Rebuild.Next != b.From {
			return place.ErrFenced
		}
		err := s.eachTable(b, func(t *table, upserts, deletes []stream.RowWrite) error {
			return writeTo(ctx, tx, t, t.staged, b.Partition, upserts, deletes)
		})
		if err != nil {
			return err
		}
		h.Rebuild = &stream.Rebuild{Next: b.To, End: h.Rebuild.End}
		return s.savePlace(ctx, tx, b.Partition, h)
	}))
}

func writeTo(ctx context.Context, tx txn, t *table, to relation, partition int32, upserts, deletes []stream.RowWrite) error {
	if err := write(ctx, tx, t, to.remove, appendRemoval, partition, deletes); err != nil {
		return err
	}
	return write(ctx, tx, t, to.upsert, appendRow, partition, upserts)
}
