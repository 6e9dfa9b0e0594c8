package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/freshet-dev/freshet/sinks/place"
	"github.com/freshet-dev/freshet/stream"
)

// Assign raises the partition's epoch (invariant 4). The update waits for the row, hence for a zombie's open transaction.
func (s *Sink) Assign(ctx context.Context, partition int32, _ stream.Origin) (stream.Applied, error) {
	var h place.Place
	err := s.transact(ctx, func(tx pgx.Tx) (err error) {
		h, err = scanHeld(tx.QueryRow(ctx, `INSERT INTO `+s.offsets()+` AS o (flow, target, partition, epoch, topic_id, generation, next)
VALUES ($1, $2, $3, 1, '', 0, 0)
ON CONFLICT (flow, target, partition) DO UPDATE SET epoch = o.epoch + 1
RETURNING epoch, topic_id, generation, next, rebuild_next, rebuild_end`, s.flow, s.target, partition))
		return err
	})
	if err != nil {
		return stream.Applied{}, classed(s.op("take a partition of"), err)
	}
	s.tenures.Take(partition, h.Epoch)
	return h.Applied(), nil
}

// Inspect reads what the schema holds of a partition. See stream.Inspector.
func (s *Sink) Inspect(ctx context.Context, partition int32) (stream.Applied, error) {
	var h place.Place
	err := s.transact(ctx, func(tx pgx.Tx) (err error) {
		h, err = scanHeld(tx.QueryRow(ctx, s.selectHeld(), s.flow, s.target, partition))
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		return err
	})
	return h.Applied(), classed(s.op("inspect"), err)
}

// Adopt records origin and next. Repeatable.
func (s *Sink) Adopt(ctx context.Context, partition int32, origin stream.Origin, next int64) error {
	return classed(s.op("adopt a rows topic in"), s.guarded(ctx, partition, func(tx pgx.Tx, h place.Place) error {
		if h.Adopt(origin, next) {
			if err := s.emptyStage(ctx, tx, partition); err != nil {
				return err
			}
		}
		_, err := tx.Exec(ctx, `UPDATE `+s.offsets()+` SET topic_id = $4, generation = $5, next = $6
WHERE flow = $1 AND target = $2 AND partition = $3`, s.flow, s.target, partition, origin.TopicID, origin.Generation, next)
		if err != nil {
			return err
		}
		return s.noteRebuild(ctx, tx, partition, h.Rebuild)
	}))
}

// guarded runs a transaction that may be repeated, holding the partition's row under our epoch.
func (s *Sink) guarded(ctx context.Context, partition int32, work func(pgx.Tx, place.Place) error) error {
	epoch, err := s.tenures.Epoch(partition)
	if err != nil {
		return err
	}
	return s.transact(ctx, func(tx pgx.Tx) error {
		h, err := s.lockHeld(ctx, tx, partition, epoch)
		if err != nil {
			return err
		}
		return work(tx, h)
	})
}

// noteRebuild records the rebuild under way; nil for none.
func (s *Sink) noteRebuild(ctx context.Context, tx pgx.Tx, partition int32, r *stream.Rebuild) error {
	var next, end *int64
	if r != nil {
		next, end = &r.Next, &r.End
	}
	_, err := tx.Exec(ctx, `UPDATE `+s.offsets()+` SET rebuild_next = $4, rebuild_end = $5
WHERE flow = $1 AND target = $2 AND partition = $3`, s.flow, s.target, partition, next, end)
	return err
}
