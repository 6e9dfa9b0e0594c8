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
		for _, records := range []string{frontRecords, tableRecords} {
			if err := s.dropAll(ctx, tx, records); err != nil {
				return err
			}
		}
		_, err := tx.exec(ctx, `DELETE FROM _freshet_offsets WHERE flow = ? AND target = ?`, s.flow, s.target)
		return err
	})
}

// The tables of the bookkeeping that say what this sink made.
const (
	tableRecords = "_freshet_tables"
	frontRecords = "_freshet_fronts"
)

// dropAll drops what a table of the bookkeeping names of this target.
func (s *Sink) dropAll(ctx context.Context, tx *txn, records string) error {
	for {
		var name string
		more, err := tx.row(ctx, `SELECT name FROM `+records+` WHERE flow = ? AND target = ? LIMIT 1`, []any{s.flow, s.target}, &name)
		if err != nil || !more {
			return err
		}
		if err := discard(ctx, tx, records, name); err != nil {
			return err
		}
	}
}

// discard drops a table with its stage, or a front, and its record.
func discard(ctx context.Context, tx *txn, records, name string) error {
	drop := []string{"DROP VIEW IF EXISTS " + quoted(name)}
	if records == tableRecords {
		drop = []string{"DROP TABLE IF EXISTS " + quoted(name), "DROP TABLE IF EXISTS " + quoted(stagePrefix+name)}
	}
	if err := tx.run(ctx, drop...); err != nil {
		return err
	}
	_, err := tx.exec(ctx, `DELETE FROM `+records+` WHERE name = ?`, name)
	return err
}
