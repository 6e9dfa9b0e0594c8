package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/freshet-dev/freshet/sinks/place"
	"github.com/freshet-dev/freshet/stream"
)

// Apply writes a batch and moves the partition's next offset, in one transaction.
func (s *Sink) Apply(ctx context.Context, b stream.Batch) error {
	st := place.Step{Move: place.Live, From: b.From, To: b.To}
	return classed(s.op("write to"), s.take(ctx, b.Partition, st, func(tx pgx.Tx, epoch int64) error {
		rebuilding, err := s.advance(ctx, tx, "next", b, epoch)
		if err != nil {
			return err
		}
		return s.eachTable(b, func(t *table, upserts, deletes []stream.RowWrite) error {
			if rebuilding {
				if err := write(ctx, tx, t, t.staged.remove, removal, b.Partition, deletes); err != nil {
					return err
				}
			}
			return s.writeTo(ctx, tx, t, t.live, b.Partition, upserts, deletes)
		})
	}))
}

// Stage writes a batch to the stage and moves the rebuild's next offset, in one transaction.
func (s *Sink) Stage(ctx context.Context, b stream.Batch) error {
	st := place.Step{Move: place.Stage, From: b.From, To: b.To}
	return classed(s.op("rebuild"), s.take(ctx, b.Partition, st, func(tx pgx.Tx, epoch int64) error {
		if _, err := s.advance(ctx, tx, "rebuild_next", b, epoch); err != nil {
			return err
		}
		return s.eachTable(b, func(t *table, upserts, deletes []stream.RowWrite) error {
			return s.writeTo(ctx, tx, t, t.staged, b.Partition, upserts, deletes)
		})
	}))
}

// advance moves an offset from b.From to b.To. It comes first in its transaction: it locks the partition's row, and
// fails when that row is no longer at our epoch and offset (invariant 4).
func (s *Sink) advance(ctx context.Context, tx pgx.Tx, offset string, b stream.Batch, epoch int64) (rebuilding bool, err error) {
	err = tx.QueryRow(ctx, `UPDATE `+s.offsets()+` SET `+offset+` = $1
WHERE flow = $2 AND target = $3 AND partition = $4 AND epoch = $5 AND `+offset+` = $6
RETURNING rebuild_end IS NOT NULL`, b.To, s.flow, s.target, b.Partition, epoch, b.From).Scan(&rebuilding)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, place.ErrFenced
	}
	return rebuilding, err
}

// eachTable gives the last write of every row in b, by table, see place.LastWrites.
func (s *Sink) eachTable(b stream.Batch, do func(t *table, upserts, deletes []stream.RowWrite) error) error {
	last := place.LastWrites(b)
	for name := range last {
		if s.tables[name] == nil {
			return stream.Errorf(stream.Internal, s.op("write to"), "it does not keep table %s", name)
		}
	}
	for _, t := range s.order {
		upserts, deletes := place.Split(last[t.decl.Name])
		if err := do(t, upserts, deletes); err != nil {
			return err
		}
	}
	return nil
}

func (s *Sink) writeTo(ctx context.Context, tx pgx.Tx, t *table, to relation, partition int32, upserts, deletes []stream.RowWrite) error {
	if err := write(ctx, tx, t, to.remove, removal, partition, deletes); err != nil {
		return err
	}
	if len(upserts) >= s.copyFrom {
		return t.copyRows(ctx, tx, to, partition, upserts)
	}
	return write(ctx, tx, t, to.upsert, upsert, partition, upserts)
}
