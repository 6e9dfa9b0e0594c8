package snowflake

import (
	"context"

	"github.com/freshet-dev/freshet/stream"
)

// Recreate makes the named tables anew. First, in one transaction, every partition of the target gets a new epoch, which shuts out writers of
// the old declaration, and a rebuild up to the offset it had reached; the tables are noted as being replaced. Then each is replaced, which
// Snowflake does and commits by one statement, and noted as made: a crash in between leaves them changed for the next Open.
func (s *Sink) Recreate(ctx context.Context, names []string) error {
	return classed(s.op("make tables anew in"), s.recreate(ctx, names))
}

func (s *Sink) recreate(ctx context.Context, names []string) error {
	var tables []*table
	for _, name := range names {
		t, err := s.known(name)
		if err != nil {
			return err
		}
		tables = append(tables, t)
	}
	if _, err := s.opened("make tables anew in"); err != nil {
		return err
	}
	if err := s.transact(ctx, func(tx txn) error { return s.unmake(ctx, tx, tables) }); err != nil {
		return err
	}
	for _, t := range tables {
		if err := s.create(ctx, t, replacing, "OR REPLACE %s"); err != nil {
			return err
		}
	}
	return nil
}

// unmake notes that the tables are being replaced, and that every partition is to be read again, with empty stages.
func (s *Sink) unmake(ctx context.Context, tx txn, tables []*table) error {
	if err := s.lockAll(ctx, tx); err != nil {
		return err
	}
	records, err := s.records(ctx, tx)
	if err != nil {
		return err
	}
	there, err := s.catalog(ctx, tx)
	if err != nil {
		return err
	}
	replaced := map[*table]bool{}
	for _, t := range tables {
		r, recorded := records[t.name]
		if err := s.own(t, r, recorded, there); err != nil {
			return err
		}
		if err := s.note(ctx, tx, t, replacing, ""); err != nil {
			return err
		}
		if err := s.hide(ctx, tx, t); err != nil {
			return err
		}
		replaced[t] = true
	}
	const reached = `GREATEST("next", COALESCE("rebuild_end", 0))`
	_, err = tx.exec(ctx, `UPDATE `+s.places()+` SET "epoch" = "epoch" + 1, "turn" = "turn" + 1, "rebuild_end" = NULLIF(`+reached+`, 0),
"rebuild_next" = CASE WHEN `+reached+` > 0 THEN 0 END WHERE "flow" = ? AND "target" = ?`, s.flow, s.target)
	if err != nil {
		return err
	}
	for _, t := range s.order {
		if replaced[t] || there[t.stage] == "" {
			continue
		}
		if _, err := tx.exec(ctx, "DELETE FROM "+t.staged.quoted); err != nil {
			return err
		}
	}
	return nil
}

var _ interface {
	stream.Sink
	stream.Reader
	stream.Inspector
	stream.Rounder
} = (*Sink)(nil)
