package sqlite

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/freshet-dev/freshet/stream"
)

// bookkeeping is what the sink itself keeps in the file. `created` is a table's definition as SQLite noted it when the
// sink made it: any alteration by hand changes that. An empty declaration marks a table that a later declaration left out.
var bookkeeping = []string{
	`CREATE TABLE IF NOT EXISTS _freshet_offsets (flow text NOT NULL, target text NOT NULL, partition integer NOT NULL,
		epoch integer NOT NULL, topic_id text NOT NULL, generation integer NOT NULL, next integer NOT NULL,
		rebuild_next integer, rebuild_end integer, PRIMARY KEY (flow, target, partition))`,
	`CREATE TABLE IF NOT EXISTS _freshet_tables (name text NOT NULL COLLATE NOCASE PRIMARY KEY, flow text NOT NULL,
		target text NOT NULL, declaration text NOT NULL, created text NOT NULL)`,
}

// checkTables creates what is absent from a new target, and returns the tables that only Recreate can bring in step.
func (s *Sink) checkTables(ctx context.Context) (changed []string, err error) {
	err = s.write.transact(ctx, func(tx *txn) error {
		if err := tx.run(ctx, bookkeeping...); err != nil {
			return err
		}
		begun, err := s.hasBegun(ctx, tx)
		if err != nil {
			return err
		}
		for _, t := range s.tables {
			ready, err := s.checkTable(ctx, tx, t, begun)
			if err != nil {
				return err
			}
			if !ready {
				changed = append(changed, t.Name)
			}
		}
		return s.markLeftOut(ctx, tx)
	})
	return changed, err
}

// hasBegun says whether the target holds rows, so that a table that is absent lacks some.
func (s *Sink) hasBegun(ctx context.Context, tx *txn) (bool, error) {
	return tx.row(ctx, `SELECT 1 FROM _freshet_offsets WHERE flow = ? AND target = ? AND (next > 0 OR rebuild_end IS NOT NULL)`,
		[]any{s.flow, s.target}, new(int))
}

// checkTable reports whether the table is as declared; it creates it when the target has not begun.
func (s *Sink) checkTable(ctx context.Context, tx *txn, t *table, begun bool) (ready bool, err error) {
	declaration, exists, err := s.ownTable(ctx, tx, t, true)
	switch {
	case err != nil:
		return false, err
	case exists && declaration != t.declaration(), !exists && begun:
		return false, nil
	case exists:
		return tx.row(ctx, `SELECT 1 FROM sqlite_schema WHERE name = ?`, []any{t.stage}, new(int)) // it may hold a rebuild
	}
	return true, s.makeTable(ctx, tx, t)
}

// ownTable returns what is recorded of a table. A table of others is refused, and with intact an altered one.
func (s *Sink) ownTable(ctx context.Context, tx *txn, t *table, intact bool) (declaration string, exists bool, err error) {
	var now, flow, target, created string
	exists, err = tx.row(ctx, `SELECT coalesce(sql, '') FROM sqlite_schema WHERE name = ? COLLATE NOCASE`, []any{t.name}, &now)
	if err != nil {
		return "", false, err
	}
	known, err := tx.row(ctx, `SELECT flow, target, declaration, created FROM _freshet_tables WHERE name = ?`, []any{t.name},
		&flow, &target, &declaration, &created)
	if err != nil {
		return "", false, err
	}
	switch {
	case exists && !known:
		return "", false, s.refuse(t, "exists already and was not made by this flow; move it away, or set `table` to another name")
	case known && (flow != s.flow || target != s.target):
		return "", false, s.refuse(t, fmt.Sprintf("belongs to target %s of flow %s; set `table` or `path` to another name", target, flow))
	case exists && intact && now != created:
		return "", false, s.refuse(t, "was altered by hand; undo that, or drop the table and rebuild the target. It is now: "+now)
	}
	return declaration, exists, nil
}

func (s *Sink) refuse(t *table, why string) error {
	return stream.Errorf(stream.Usage, s.op("open"), "table %q in %s %s", t.name, s.path, why)
}

// makeTable creates the table and its stage anew and records it.
func (s *Sink) makeTable(ctx context.Context, tx *txn, t *table) error {
	err := tx.run(ctx, "DROP TABLE IF EXISTS "+quoted(t.name), "DROP TABLE IF EXISTS "+quoted(t.stage), t.create(t.name), t.create(t.stage))
	if err != nil {
		return err
	}
	_, err = tx.exec(ctx, `INSERT OR REPLACE INTO _freshet_tables (name, flow, target, declaration, created)
		SELECT ?, ?, ?, ?, sql FROM sqlite_schema WHERE name = ?`, t.name, s.flow, s.target, t.declaration(), t.name)
	return err
}

// markLeftOut notes that this target's tables outside the declaration are not kept any more: should one come back, it
// lacks what happened meanwhile.
func (s *Sink) markLeftOut(ctx context.Context, tx *txn) error {
	marks, args := []string{}, []any{s.flow, s.target}
	for _, t := range s.tables {
		marks, args = append(marks, "?"), append(args, t.name)
	}
	_, err := tx.exec(ctx, `UPDATE _freshet_tables SET declaration = '' WHERE flow = ? AND target = ? AND declaration <> ''
		AND name NOT IN (`+strings.Join(marks, ", ")+`)`, args...)
	return err
}

// Recreate makes the named tables anew, empties every stage, and notes in the same transaction that each partition that
// holds anything is to be read again up to its next offset. Earlier writers are fenced. See stream.Sink.
func (s *Sink) Recreate(ctx context.Context, names []string) error {
	return s.transact(ctx, "recreate tables of", func(tx *txn) error {
		for _, t := range s.tables {
			if err := s.recreate(ctx, tx, t, slices.Contains(names, t.Name)); err != nil {
				return err
			}
		}
		return s.noteRebuilds(ctx, tx)
	})
}

// noteRebuilds fences all writers; a partition of which nothing was applied has nothing to be read again.
func (s *Sink) noteRebuilds(ctx context.Context, tx *txn) error {
	_, err := tx.exec(ctx, `UPDATE _freshet_offsets SET epoch = epoch + 1 WHERE flow = ? AND target = ?`, s.flow, s.target)
	if err != nil {
		return err
	}
	_, err = tx.exec(ctx, `UPDATE _freshet_offsets SET rebuild_next = 0, rebuild_end = max(next, coalesce(rebuild_end, 0))
		WHERE flow = ? AND target = ? AND (next > 0 OR rebuild_end IS NOT NULL)`, s.flow, s.target)
	return err
}

func (s *Sink) recreate(ctx context.Context, tx *txn, t *table, named bool) error {
	_, exists, err := s.ownTable(ctx, tx, t, false)
	if err != nil {
		return err
	}
	if named {
		return s.makeTable(ctx, tx, t)
	}
	if !exists {
		return nil
	}
	_, err = tx.exec(ctx, "DELETE FROM "+quoted(t.stage))
	return err
}
