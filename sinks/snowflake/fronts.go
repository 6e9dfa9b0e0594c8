package snowflake

import (
	"context"
	"database/sql"
	"fmt"
	"slices"

	"github.com/freshet-dev/freshet/stream"
)

// front is a row of _freshet_fronts: whose a view is, and which table it shows, "" while that changes; and whether there is such a view.
type front struct {
	flow, target, shows string
	exists              bool
}

const frontColumns = `"name" VARCHAR NOT NULL, "flow" VARCHAR NOT NULL, "target" VARCHAR NOT NULL, "shows" VARCHAR NOT NULL`

var _ stream.Fronter = (*Sink)(nil)

// Show implements stream.Fronter: a front is a view. CREATE VIEW commits by itself, so each front switches in one step, and several do one
// after the other; that they are to is noted before.
func (s *Sink) Show(ctx context.Context, tables []string) error {
	return classed(s.op("show tables of"), s.show(ctx, tables))
}

func (s *Sink) show(ctx context.Context, names []string) error {
	var tables, due []*table
	for _, name := range names {
		t, err := s.known(name)
		if err == nil && t.front == "" {
			err = stream.Errorf(stream.Internal, s.op("show a table of"), "table %q is not shown by a front", name)
		}
		if err != nil {
			return err
		}
		tables = append(tables, t)
	}
	err := s.transact(ctx, func(tx txn) (err error) {
		due, err = s.claim(ctx, tx, tables)
		return err
	})
	if err != nil || len(due) == 0 {
		return err
	}
	return s.transact(ctx, func(tx txn) error { return s.reveal(ctx, tx, due) })
}

// claim notes of each front that does not show its table that it is about to, and returns those tables; a front that is something else's
// is an error.
func (s *Sink) claim(ctx context.Context, tx txn, tables []*table) (due []*table, err error) {
	if err := s.lockAll(ctx, tx); err != nil {
		return nil, err
	}
	there, err := s.catalog(ctx, tx)
	if err != nil {
		return nil, err
	}
	fronts, err := s.fronts(ctx, tx)
	if err != nil {
		return nil, err
	}
	for _, t := range tables {
		f, noted := fronts[t.front]
		ours := f.flow == s.flow && f.target == s.target
		switch {
		case noted && !ours, there[t.front] != "" && !f.exists:
			return nil, stream.Errorf(stream.Usage, s.op("show a table of"), "%q in schema %s exists already and was not made by this flow; move it away, or set "+
				"`table` of %s to another name", t.front, s.schema.name, t.decl.Name)
		case f.exists && f.shows == t.name:
			continue
		}
		if err := s.putFront(ctx, tx, t.front, ""); err != nil {
			return nil, err
		}
		due = append(due, t)
	}
	return due, nil
}

// reveal makes the views, by another session, while this transaction holds the lock under which it was noted that they are due: what is
// noted afterwards is what they show.
func (s *Sink) reveal(ctx context.Context, tx txn, due []*table) error {
	if err := s.lockAll(ctx, tx); err != nil {
		return err
	}
	fronts, err := s.fronts(ctx, tx)
	if err != nil {
		return err
	}
	for _, t := range due {
		if f := fronts[t.front]; f.flow != s.flow || f.target != s.target || f.shows != "" {
			return stream.Errorf(stream.Transient, s.op("show a table of"), "%q is being switched by another process; it is looked at again", t.front)
		}
	}
	err = s.alone(ctx, "show tables of", func(conn *sql.Conn) error {
		for _, t := range due {
			if _, err := conn.ExecContext(ctx, "CREATE OR REPLACE VIEW "+s.schema.table(t.front)+" COPY GRANTS AS SELECT * FROM "+t.live.quoted); err != nil {
				return fmt.Errorf("make view %q: %w", t.front, err)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, t := range due {
		if err := s.putFront(ctx, tx, t.front, t.name); err != nil {
			return err
		}
	}
	return nil
}

func (s *Sink) putFront(ctx context.Context, tx txn, name, shows string) error {
	if _, err := tx.exec(ctx, `DELETE FROM `+s.schema.table(frontsTable)+` WHERE "name" = ?`, name); err != nil {
		return err
	}
	_, err := tx.exec(ctx, `INSERT INTO `+s.schema.table(frontsTable)+` ("name", "flow", "target", "shows") VALUES (?, ?, ?, ?)`, name, s.flow, s.target, shows)
	return err
}

// fronts reads _freshet_fronts.
func (s *Sink) fronts(ctx context.Context, tx txn) (map[string]front, error) {
	rows, err := tx.QueryContext(ctx, `SELECT f."name", f."flow", f."target", f."shows", v.TABLE_NAME IS NOT NULL FROM `+s.schema.table(frontsTable)+
		" AS f LEFT JOIN "+s.schema.catalog("VIEWS")+` AS v ON v.TABLE_SCHEMA = ? AND v.TABLE_NAME = f."name"`, s.schema.name)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	fronts := map[string]front{}
	for rows.Next() {
		var name string
		var f front
		if err := rows.Scan(&name, &f.flow, &f.target, &f.shows, &f.exists); err != nil {
			return nil, err
		}
		fronts[name] = f
	}
	return fronts, rows.Err()
}

// Shown implements stream.Fronter.
func (s *Sink) Shown(ctx context.Context) (map[string]string, error) {
	shown := map[string]string{}
	if !slices.ContainsFunc(s.order, func(t *table) bool { return t.front != "" }) {
		return shown, nil
	}
	return shown, classed(s.op("look at the fronts of"), s.transact(ctx, func(tx txn) error {
		fronts, err := s.fronts(ctx, tx)
		for _, t := range s.order {
			if t.front != "" && fronts[t.front] == (front{s.flow, s.target, t.name, true}) {
				shown[t.front] = t.decl.Name
			}
		}
		return err
	}))
}

// hide notes that a front no longer shows a table that is to be replaced, whose columns the view may not fit then; Show makes it anew.
func (s *Sink) hide(ctx context.Context, tx txn, t *table) error {
	if t.front == "" {
		return nil
	}
	_, err := tx.exec(ctx, `UPDATE `+s.schema.table(frontsTable)+` SET "shows" = '' WHERE "name" = ? AND "shows" = ?`, t.front, t.name)
	return err
}

// Retire implements stream.Fronter. The records go last: after a crash in between it is done again.
func (s *Sink) Retire(ctx context.Context) error {
	return classed(s.op("drop tables of"), s.transact(ctx, func(tx txn) error {
		if err := s.lockAll(ctx, tx); err != nil {
			return err
		}
		records, err := s.records(ctx, tx)
		if err != nil {
			return err
		}
		for name, r := range records {
			if r.flow != s.flow || r.target != s.target || r.state != left || !s.wasEdition(name) {
				continue
			}
			if err := s.drop(ctx, name); err != nil {
				return err
			}
			if _, err := tx.exec(ctx, `DELETE FROM `+s.schema.table(tablesTable)+` WHERE "name" = ?`, name); err != nil {
				return err
			}
		}
		return nil
	}))
}

// drop removes a table and its stage, by a session of its own, since DROP commits.
func (s *Sink) drop(ctx context.Context, name string) error {
	return s.alone(ctx, "drop tables of", func(conn *sql.Conn) error {
		for _, table := range []string{name, stageName(name)} {
			if _, err := conn.ExecContext(ctx, "DROP TABLE IF EXISTS "+s.schema.table(table)); err != nil {
				return fmt.Errorf("drop table %q: %w", table, err)
			}
		}
		return nil
	})
}

// wasEdition reports whether a table that is not declared was an edition that a front of a declared table showed, or was to show.
func (s *Sink) wasEdition(name string) bool {
	for _, t := range s.order {
		if t.front != "" && stream.IsEditionOf(name, t.front) {
			return true
		}
	}
	return false
}
