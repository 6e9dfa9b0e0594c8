package sqlite

import (
	"context"
	"fmt"
	"strings"

	"github.com/freshet-dev/freshet/stream"
)

// StartRebuild empties the partition's stage and notes what is to be read again. See stream.Sink.
func (s *Sink) StartRebuild(ctx context.Context, partition int32, end int64) error {
	return s.fenced(ctx, "start a rebuild of", partition, func(tx *txn) error {
		if err := s.emptyStage(ctx, tx, partition); err != nil {
			return err
		}
		_, err := tx.exec(ctx, `UPDATE _freshet_offsets SET rebuild_next = 0, rebuild_end = ?
			WHERE flow = ? AND target = ? AND partition = ?`, end, s.flow, s.target, partition)
		return err
	})
}

func (s *Sink) emptyStage(ctx context.Context, tx *txn, partition int32) error {
	for _, t := range s.tables {
		if _, err := tx.exec(ctx, "DELETE FROM "+quoted(t.stage)+" WHERE _partition = ?", partition); err != nil {
			return err
		}
	}
	return nil
}

// Switch replaces the partition's rows by the staged ones, for all tables in one transaction, so that readers see either
// the old tables or the new. It refuses while records of the rebuild are still to be staged. See stream.Sink.
func (s *Sink) Switch(ctx context.Context, partition int32, end int64) error {
	return s.fenced(ctx, "switch to the rebuild of", partition, func(tx *txn) error {
		limit, err := s.rebuildLimit(ctx, tx, partition, end)
		if err != nil {
			return err
		}
		for _, t := range s.tables {
			if err := t.switchRows(ctx, tx, partition, stream.FirstOf(limit.Generation).Pack(), limit.Pack()); err != nil {
				return err
			}
		}
		if err := s.emptyStage(ctx, tx, partition); err != nil {
			return err
		}
		_, err = tx.exec(ctx, `UPDATE _freshet_offsets SET next = max(next, ?), rebuild_next = NULL, rebuild_end = NULL
			WHERE flow = ? AND target = ? AND partition = ?`, end, s.flow, s.target, partition)
		return err
	})
}

// rebuildLimit returns the first version that the finished rebuild did not read.
func (s *Sink) rebuildLimit(ctx context.Context, tx *txn, partition int32, end int64) (stream.Version, error) {
	v := stream.Version{Offset: end}
	ready, err := tx.row(ctx, `SELECT generation FROM _freshet_offsets WHERE flow = ? AND target = ? AND partition = ?
		AND rebuild_end = ? AND rebuild_next >= rebuild_end`, []any{s.flow, s.target, partition, end}, &v.Generation)
	if err == nil && !ready {
		err = stream.Errorf(stream.Internal, s.op("switch to the rebuild of"),
			"partition %d: records below %d are not all staged, so the switch would lose rows", partition, end)
	}
	return v, err
}

// switchRows deletes the rows in [first, limit) that were not staged, and writes the staged ones where they differ.
func (t *table) switchRows(ctx context.Context, tx *txn, partition int32, first, limit int64) error {
	live, stage, list := quoted(t.name), quoted(t.stage), t.columnList()
	_, err := tx.exec(ctx, fmt.Sprintf(`DELETE FROM %s AS held WHERE _partition = ? AND _version >= ? AND _version < ? AND NOT EXISTS
		(SELECT 1 FROM %s AS staged WHERE staged._document = held._document AND staged._key = held._key
			AND staged._partition = ? AND staged._version < ?)`,
		live, stage), partition, first, limit, partition, limit)
	if err != nil {
		return err
	}
	columns := strings.Join(list, ", ")
	_, err = tx.exec(ctx, fmt.Sprintf(`INSERT INTO %s AS held (%s) SELECT %s FROM %s WHERE _partition = ? AND _version < ? %s
		WHERE held._version < ? AND (%s)`, live, columns, columns, stage, onConflict(list), differs(list)), partition, limit, limit)
	return err
}

func differs(list []string) string {
	var parts []string
	for _, c := range list[2:] {
		parts = append(parts, "held."+c+" IS NOT excluded."+c)
	}
	return strings.Join(parts, " OR ")
}

// Sweep deletes rows of the partition, and of those beyond the count that fall to it, below a version. See stream.Sink.
func (s *Sink) Sweep(ctx context.Context, partition, partitions int32, before stream.Version) error {
	return s.fenced(ctx, "sweep", partition, func(tx *txn) error {
		for _, t := range s.tables {
			_, err := tx.exec(ctx, fmt.Sprintf(`DELETE FROM %s AS held WHERE _partition %% ? = ? AND _version < ? AND NOT EXISTS
				(SELECT 1 FROM %s AS staged WHERE staged._document = held._document AND staged._key = held._key AND staged._partition = ?)`,
				quoted(t.name), quoted(t.stage)), partitions, partition, before.Pack(), partition)
			if err != nil {
				return err
			}
		}
		return nil
	})
}
