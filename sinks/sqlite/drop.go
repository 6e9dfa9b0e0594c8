package sqlite

import (
	"context"

	"github.com/freshet-dev/freshet/stream"
)

var _ stream.Dropper = (*Sink)(nil)

// Drop removes all tables of this target's own making, in one transaction; the file stays. See stream.Dropper.
func (s *Sink) Drop(ctx context.Context) error {
	return s.transact(ctx, "drop", func(tx *txn) error {
		for {
			var name string
			more, err := tx.row(ctx, `SELECT name FROM _freshet_tables WHERE flow = ? AND target = ? LIMIT 1`, []any{s.flow, s.target}, &name)
			if err != nil {
				return err
			}
			if !more {
				break
			}
			if err := tx.run(ctx, "DROP TABLE IF EXISTS "+quoted(name), "DROP TABLE IF EXISTS "+quoted(stagePrefix+name)); err != nil {
				return err
			}
			if _, err := tx.exec(ctx, `DELETE FROM _freshet_tables WHERE name = ?`, name); err != nil {
				return err
			}
		}
		_, err := tx.exec(ctx, `DELETE FROM _freshet_offsets WHERE flow = ? AND target = ?`, s.flow, s.target)
		return err
	})
}
