package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/freshet-dev/freshet/stream"
)

var _ stream.Dropper = (*Sink)(nil)

// Drop removes all tables of this target's own making, and their fronts, in one transaction; the schema stays. See stream.Dropper.
func (s *Sink) Drop(ctx context.Context) error {
	return s.inFronts(ctx, "drop", func(tx pgx.Tx) error {
		if err := s.dropFronts(ctx, tx); err != nil {
			return err
		}
		if err := s.dropTables(ctx, tx, func(string, declaration) bool { return true }); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, "DELETE FROM "+s.offsets()+" WHERE flow = $1 AND target = $2", s.flow, s.target)
		return err
	})
}

// dropTables drops the tables of this target that are meant, with their stages and records.
func (s *Sink) dropTables(ctx context.Context, tx pgx.Tx, meant func(name string, d declaration) bool) error {
	records, err := s.records(ctx, tx)
	if err != nil {
		return err
	}
	for name, r := range records {
		if r.flow != s.flow || r.target != s.target || !meant(name, r.declaration) {
			continue
		}
		for _, table := range []string{name, stageName(name)} {
			if _, err := tx.Exec(ctx, "DROP TABLE IF EXISTS "+qualify(s.schema, table)); err != nil {
				return err
			}
		}
		if _, err := tx.Exec(ctx, "DELETE FROM "+qualify(s.schema, tablesTable)+" WHERE name = $1", name); err != nil {
			return err
		}
	}
	return nil
}

// dropFronts drops the views of this target.
func (s *Sink) dropFronts(ctx context.Context, tx pgx.Tx) error {
	rows, err := tx.Query(ctx, "DELETE FROM "+qualify(s.schema, frontsTable)+" WHERE flow = $1 AND target = $2 RETURNING name", s.flow, s.target)
	if err != nil {
		return err
	}
	fronts, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, name := range fronts {
		if _, err := tx.Exec(ctx, "DROP VIEW IF EXISTS "+qualify(s.schema, name)); err != nil {
			return err
		}
	}
	return nil
}
