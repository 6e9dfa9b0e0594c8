package sqlite

import (
	"context"
	"database/sql"

	"github.com/freshet-dev/freshet/stream"
)

// Assign raises the partition's epoch, which fences earlier writers, and returns what the file holds. See stream.Sink.
func (s *Sink) Assign(ctx context.Context, partition int32, _ stream.Origin) (stream.Applied, error) {
	var a stream.Applied
	var epoch int64
	var next, end sql.NullInt64
	err := s.transact(ctx, "take a partition of", func(tx *txn) error {
		_, err := tx.row(ctx, `INSERT INTO _freshet_offsets (flow, target, partition, epoch, topic_id, generation, next)
			VALUES (?, ?, ?, 1, '', 0, 0) ON CONFLICT (flow, target, partition) DO UPDATE SET epoch = epoch + 1
			RETURNING epoch, topic_id, generation, next, rebuild_next, rebuild_end`,
			[]any{s.flow, s.target, partition}, &epoch, &a.TopicID, &a.Generation, &a.Next, &next, &end)
		return err
	})
	if err != nil {
		return stream.Applied{}, err
	}
	a.Rebuild = rebuild(next, end)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.epochs[partition] = epoch
	return a, nil
}

// rebuild is one under way, as the columns rebuild_next and rebuild_end have it; nil: there is none.
func rebuild(next, end sql.NullInt64) *stream.Rebuild {
	if !end.Valid {
		return nil
	}
	return &stream.Rebuild{Next: next.Int64, End: end.Int64}
}

// Release forgets the partition; its fence stays in the file. See stream.Sink.
func (s *Sink) Release(partition int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.epochs, partition)
}

// Adopt records origin and the next offset. A rebuild under way for another origin can't go on: it is noted again from
// the beginning, or dropped when nothing of the new origin was applied. See stream.Sink.
func (s *Sink) Adopt(ctx context.Context, partition int32, origin stream.Origin, next int64) error {
	return s.fenced(ctx, "adopt a topic for", partition, func(tx *txn) error {
		held, err := s.holds(ctx, tx, partition, origin)
		if err != nil {
			return err
		}
		if !held {
			if err := s.restartRebuild(ctx, tx, partition, next); err != nil {
				return err
			}
		}
		_, err = tx.exec(ctx, `UPDATE _freshet_offsets SET topic_id = ?, generation = ?, next = ?
			WHERE flow = ? AND target = ? AND partition = ?`, origin.TopicID, origin.Generation, next, s.flow, s.target, partition)
		return err
	})
}

func (s *Sink) holds(ctx context.Context, tx *txn, partition int32, origin stream.Origin) (bool, error) {
	return tx.row(ctx, `SELECT 1 FROM _freshet_offsets WHERE flow = ? AND target = ? AND partition = ?
		AND topic_id = ? AND generation = ?`, []any{s.flow, s.target, partition, origin.TopicID, origin.Generation}, new(int))
}

func (s *Sink) restartRebuild(ctx context.Context, tx *txn, partition int32, end int64) error {
	if err := s.emptyStage(ctx, tx, partition); err != nil {
		return err
	}
	if end > 0 {
		_, err := tx.exec(ctx, `UPDATE _freshet_offsets SET rebuild_next = 0, rebuild_end = ?
			WHERE flow = ? AND target = ? AND partition = ? AND rebuild_end IS NOT NULL`, end, s.flow, s.target, partition)
		return err
	}
	_, err := tx.exec(ctx, `UPDATE _freshet_offsets SET rebuild_next = NULL, rebuild_end = NULL
		WHERE flow = ? AND target = ? AND partition = ?`, s.flow, s.target, partition)
	return err
}

// epoch returns the fence that this sink holds on the partition; 0, which no partition has, when it holds none.
func (s *Sink) epoch(partition int32) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.epochs[partition]
}

// fenced runs f in a transaction of the partition's writer. Invariant 4: the epoch is checked in that transaction.
func (s *Sink) fenced(ctx context.Context, doing string, partition int32, f func(*txn) error) error {
	return s.transact(ctx, doing, func(tx *txn) error {
		n, err := tx.exec(ctx, `UPDATE _freshet_offsets SET epoch = epoch
			WHERE flow = ? AND target = ? AND partition = ? AND epoch = ?`, s.flow, s.target, partition, s.epoch(partition))
		if err != nil {
			return err
		}
		if n != 1 {
			return s.lost(doing, partition)
		}
		return f(tx)
	})
}

func (s *Sink) lost(doing string, partition int32) error {
	return stream.Errorf(stream.Fenced, s.op(doing), "partition %d is not this writer's, or the batch does not follow what is applied", partition)
}

// advance moves the offset that column names, if this sink holds the partition and the batch follows on. It returns the
// end of a rebuild under way.
func (s *Sink) advance(ctx context.Context, tx *txn, column string, b stream.Batch) (rebuildEnd sql.NullInt64, err error) {
	held, err := tx.row(ctx, `UPDATE _freshet_offsets SET `+column+` = ? WHERE flow = ? AND target = ? AND partition = ?
		AND epoch = ? AND `+column+` = ? RETURNING rebuild_end`,
		[]any{b.To, s.flow, s.target, b.Partition, s.epoch(b.Partition), b.From}, &rebuildEnd)
	if err == nil && !held {
		err = s.lost("write to", b.Partition)
	}
	return rebuildEnd, err
}
