package sqlite

import (
	"context"
	"fmt"

	"github.com/freshet-dev/freshet/stream"
)

// fronts records the views that show editions; `created` is a view's definition as SQLite noted it.
const fronts = `CREATE TABLE IF NOT EXISTS _freshet_fronts (name text NOT NULL COLLATE NOCASE PRIMARY KEY, flow text NOT NULL,
	target text NOT NULL, shows text NOT NULL, created text NOT NULL)`

var _ stream.Fronter = (*Sink)(nil)

// Show implements stream.Fronter: a front is a view.
func (s *Sink) Show(ctx context.Context, tables []string) error {
	return s.transact(ctx, "show tables of", func(tx *txn) error {
		if err := tx.run(ctx, fronts); err != nil {
			return err
		}
		for _, name := range tables {
			t := s.table(name)
			if t == nil || t.front == "" {
				return stream.Errorf(stream.Internal, s.op("show a table of"), "table %q is not shown by a front", name)
			}
			if err := s.show(ctx, tx, t); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *Sink) show(ctx context.Context, tx *txn, t *table) error {
	var now, flow, target, created string
	exists, err := tx.row(ctx, `SELECT coalesce(sql, '') FROM sqlite_schema WHERE name = ? COLLATE NOCASE`, []any{t.front}, &now)
	if err != nil {
		return err
	}
	known, err := tx.row(ctx, `SELECT flow, target, created FROM _freshet_fronts WHERE name = ?`, []any{t.front}, &flow, &target, &created)
	switch {
	case err != nil:
		return err
	case exists && !(known && flow == s.flow && target == s.target && now == created):
		return stream.Errorf(stream.Usage, s.op("show a table of"), "%q in %s exists already and was not made by this flow, or was altered by hand; "+
			"move it away, or set `table` of %s to another name", t.front, s.path, t.Name)
	}
	err = tx.run(ctx, "DROP VIEW IF EXISTS "+quoted(t.front), fmt.Sprintf("CREATE VIEW %s AS SELECT * FROM %s", quoted(t.front), quoted(t.name)))
	if err != nil {
		return err
	}
	_, err = tx.exec(ctx, `INSERT OR REPLACE INTO _freshet_fronts (name, flow, target, shows, created)
		SELECT ?, ?, ?, ?, sql FROM sqlite_schema WHERE name = ?`, t.front, s.flow, s.target, t.name, t.front)
	return err
}

// Shown implements stream.Fronter.
func (s *Sink) Shown(ctx context.Context) (map[string]string, error) {
	shown := map[string]string{}
	err := s.transact(ctx, "look at the fronts of", func(tx *txn) error {
		if err := tx.run(ctx, fronts); err != nil {
			return err
		}
		for _, t := range s.tables {
			there, err := tx.row(ctx, `SELECT 1 FROM _freshet_fronts f JOIN sqlite_schema v ON v.name = f.name AND v.type = 'view' AND v.sql = f.created
				WHERE f.name = ? AND f.shows = ? AND flow = ? AND target = ?`, []any{t.front, t.name, s.flow, s.target}, new(int))
			if err != nil {
				return err
			}
			if there {
				shown[t.front] = t.Name
			}
		}
		return nil
	})
	return shown, err
}

// Retire implements stream.Fronter.
func (s *Sink) Retire(ctx context.Context) error {
	return s.transact(ctx, "drop tables of", func(tx *txn) error {
		for _, t := range s.tables {
			if t.front == "" {
				continue
			}
			left, err := s.leftOut(ctx, tx, t.front)
			if err != nil {
				return err
			}
			for _, name := range left {
				if err := discard(ctx, tx, tableRecords, name); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// leftOut are the editions of a front that are declared no more.
func (s *Sink) leftOut(ctx context.Context, tx *txn, front string) (names []string, err error) {
	rows, err := tx.conn.QueryContext(ctx, `SELECT name FROM _freshet_tables WHERE flow = ? AND target = ? AND declaration = ''`, s.flow, s.target)
	if err != nil {
		return nil, err
	}
	defer func() {
		if e := rows.Close(); err == nil {
			err = e
		}
	}()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		if stream.IsEditionOf(name, front) {
			names = append(names, name)
		}
	}
	return names, rows.Err()
}
