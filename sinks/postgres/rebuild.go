package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/freshet-dev/freshet/sinks/place"
	"github.com/freshet-dev/freshet/stream"
)

// Recreate drops and makes the named tables. Every partition of the target gets a new epoch, which shuts out writers of
// the old declaration, and a rebuild up to the offset it had reached.
func (s *Sink) Recreate(ctx context.Context, names []string) error {
	err := s.transact(ctx, func(tx pgx.Tx) error {
		if err := s.bookkeeping(ctx, tx); err != nil {
			return err
		}
		records, err := s.records(ctx, tx)
		if err != nil {
			return err
		}
		for _, name := range names {
			if err := s.replace(ctx, tx, name, records); err != nil {
				return err
			}
		}
		return s.rebuildAll(ctx, tx)
	})
	return classed(s.op("make tables anew in"), err)
}

func (s *Sink) replace(ctx context.Context, tx pgx.Tx, name string, records map[string]record) error {
	t, err := s.known(name)
	if err != nil {
		return err
	}
	there, err := s.exists(ctx, tx, t.name)
	if err != nil {
		return err
	}
	r, recorded := records[t.name]
	if err := s.own(t, r, there, recorded); err != nil {
		return err
	}
	if err := s.hide(ctx, tx, t); err != nil {
		return fmt.Errorf("drop view %q: %w", t.front, err)
	}
	if _, err := tx.Exec(ctx, "DROP TABLE IF EXISTS "+t.live.quoted); err != nil {
		return fmt.Errorf("drop table %q: %w", t.name, err)
	}
	return s.create(ctx, tx, t)
}

// rebuildAll notes for every partition that what it has applied is to be read again, with empty stages.
func (s *Sink) rebuildAll(ctx context.Context, tx pgx.Tx) error {
	const reached = "greatest(next, coalesce(rebuild_end, 0))"
	_, err := tx.Exec(ctx, `UPDATE `+s.offsets()+` SET epoch = epoch + 1, rebuild_end = nullif(`+reached+`, 0),
rebuild_next = CASE WHEN `+reached+` > 0 THEN 0 END WHERE flow = $1 AND target = $2`, s.flow, s.target)
	if err != nil {
		return err
	}
	for _, t := range s.order {
		there, err := s.exists(ctx, tx, t.stage)
		if err != nil {
			return err
		}
		if !there {
			continue
		}
		if _, err := tx.Exec(ctx, "DELETE FROM "+t.staged.quoted); err != nil {
			return err
		}
	}
	return nil
}

// StartRebuild empties the stage and notes the rebuild. A deletion that lies between end and a higher next offset is in
// no stage and would be undone by the switch; so next goes back to end, and records from there are applied once more: a
// writer that didn't expect this is fenced, and learns it from Assign. Repeatable.
func (s *Sink) StartRebuild(ctx context.Context, partition int32, end int64) error {
	return classed(s.op("start to rebuild"), s.guarded(ctx, partition, func(tx pgx.Tx, _ place.Place) error {
		_, err := tx.Exec(ctx, `UPDATE `+s.offsets()+` SET next = least(next, $4) WHERE flow = $1 AND target = $2 AND partition = $3`,
			s.flow, s.target, partition, end)
		if err != nil {
			return err
		}
		if err := s.emptyStage(ctx, tx, partition); err != nil {
			return err
		}
		return s.noteRebuild(ctx, tx, partition, &stream.Rebuild{End: end})
	}))
}

// Switch makes the stage's rows those of the partition (invariant 5: in one transaction), and ends the rebuild.
func (s *Sink) Switch(ctx context.Context, partition int32, end int64) error {
	err := s.take(ctx, partition, place.Step{Move: place.Finish, To: end}, func(tx pgx.Tx, epoch int64) error {
		h, err := s.lockHeld(ctx, tx, partition, epoch)
		if err != nil {
			return err
		}
		if !h.Staged(end) {
			return stream.Errorf(stream.Internal, s.op("end the rebuild of"),
				"partition %d: the stage does not hold a rebuild up to offset %d", partition, end)
		}
		return s.switchAll(ctx, tx, partition, end, stream.Version{Generation: h.Generation, Offset: end})
	})
	if err == nil {
		err = s.ensureIndexes(ctx)
	}
	return classed(s.op("end the rebuild of"), err)
}

func (s *Sink) switchAll(ctx context.Context, tx pgx.Tx, partition int32, end int64, before stream.Version) error {
	if _, err := tx.Exec(ctx, "SELECT set_config('statement_timeout', '0', true)"); err != nil {
		return err
	}
	for _, t := range s.order {
		for _, sql := range t.switchSQL(stream.FirstOf(before.Generation)) {
			if _, err := tx.Exec(ctx, sql.text, append([]any{partition, before.Pack()}, sql.more...)...); err != nil {
				return fmt.Errorf("table %q: %w", t.name, err)
			}
		}
	}
	if err := s.emptyStage(ctx, tx, partition); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `UPDATE `+s.offsets()+` SET next = greatest(next, $4), rebuild_next = NULL, rebuild_end = NULL
WHERE flow = $1 AND target = $2 AND partition = $3`, s.flow, s.target, partition, end)
	return err
}

// statement is SQL with its arguments beyond the common ones.
type statement struct {
	text string
	more []any
}

// switchSQL deletes what is not staged, then takes over what is. $1 is the partition, $2 the version from which on rows
// are newer than the rebuild: those stay (invariant 3), and so do those before first, of older generations. Rows that are
// equal already are not written.
func (t *table) switchSQL(first stream.Version) []statement {
	var held, proposed strings.Builder
	for _, c := range t.columns {
		held.WriteString(", t." + quote(c.name))
		proposed.WriteString(", excluded." + quote(c.name))
	}
	return []statement{
		{fmt.Sprintf(`DELETE FROM %s AS t WHERE t._partition = $1 AND t._version < $2 AND t._version >= $3 AND NOT EXISTS (SELECT 1 FROM %s AS s
WHERE s._document = t._document AND s._key = t._key AND s._partition = $1 AND NOT s._deleted)`, t.live.quoted, t.staged.quoted), []any{first.Pack()}},
		{fmt.Sprintf(`INSERT INTO %s AS t (%[2]s) SELECT %[2]s FROM %s WHERE _partition = $1 AND NOT _deleted ORDER BY _document, _key
ON CONFLICT (_document, _key) DO UPDATE SET %s WHERE t._version < $2
AND (t._partition, t._version, t._lineage%s) IS DISTINCT FROM (excluded._partition, excluded._version, excluded._lineage%s)`,
			t.live.quoted, t.columnList(), t.staged.quoted, t.assignments(), &held, &proposed), nil},
	}
}

// Sweep deletes the partition's rows below a version that are not staged. Repeatable.
func (s *Sink) Sweep(ctx context.Context, partition, partitions int32, before stream.Version) error {
	err := s.guarded(ctx, partition, func(tx pgx.Tx, _ place.Place) error {
		for _, t := range s.order {
			_, err := tx.Exec(ctx, fmt.Sprintf(`DELETE FROM %s AS t WHERE t._partition %% $1 = $2 AND t._version < $3
AND NOT EXISTS (SELECT 1 FROM %s AS s WHERE s._document = t._document AND s._key = t._key AND s._partition = $2 AND NOT s._deleted)`,
				t.live.quoted, t.staged.quoted), partitions, partition, before.Pack())
			if err != nil {
				return fmt.Errorf("table %q: %w", t.name, err)
			}
		}
		return nil
	})
	if err == nil {
		err = s.ensureIndexes(ctx)
	}
	return classed(s.op("sweep"), err)
}

func (s *Sink) emptyStage(ctx context.Context, tx pgx.Tx, partition int32) error {
	for _, t := range s.order {
		if _, err := tx.Exec(ctx, "DELETE FROM "+t.staged.quoted+" WHERE _partition = $1", partition); err != nil {
			return fmt.Errorf("stage of table %q: %w", t.name, err)
		}
	}
	return nil
}
