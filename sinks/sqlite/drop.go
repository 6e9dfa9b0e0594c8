package sqlite

import (
	"context"

	"github.com/freshet-dev/freshet/stream"
)

var _ stream.Dropper = (*Sink)(nil)

// Drop removes all tables of this target's own making, and their fronts, in one transaction; the file stays. See stream.Dropper.
func (s *Sink) Drop(ctx context.Context) error {
	return s.transact(ctx, "drop", func(tx *txn) error {
		if err := tx.run(ctx, fronts); err != nil {
			return err
		}
		err := s.dropAll(ctx, tx, "_freshet_fronts", func(name string) []string { return []string{"DROP VIEW IF EXISTS " + quoted(name)} })
		if err != nil {
			return err
		}
		err = s.dropAll(ctx, tx, "_freshet_tables", func(name string) []string {
			return []string{"DROP TABLE IF EXISTS " + quoted(name), "DROP TABLE IF EXISTS " + quoted(stagePrefix+name)}
		})
		if err != nil {
			return err
		}
		_, err = tx.exec(ctx, `DELETE FROM _freshet_offsets WHERE flow = ? AND target = ?`, s.flow, s.target)
		return err
	})
}

// dropAll drops what a table of the bookkeeping names of this target, and its records.
func (s *Sink) dropAll(ctx context.Context, tx *txn, records string, drop func(name string) []string) error {
	for {
		var name string
		more, err := tx.row(ctx, `SELECT name FROM `+records+` WHERE flow = ? AND target = ? LIMIT 1`, []any{s.flow, s.target}, &name)
		if err != nil || !more {
			return err
		}
		if err := tx.run(ctx, drop(name)...); err != nil {
			return err
		}
		if _, err := tx.exec(ctx, `DELETE FROM `+records+` WHERE name = ?`, name); err != nil {
			return err
		}
	}
}
