package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/freshet-dev/freshet/stream"
)

// otherColumns is the SQLSTATE of a view that can't be replaced, since its columns would be others.
const otherColumns = "42P16"

var _ stream.Fronter = (*Sink)(nil)

// Show implements stream.Fronter: a front is a view. One whose columns become others is dropped and made in the same transaction,
// with the rights that were granted on it.
func (s *Sink) Show(ctx context.Context, tables []string) error {
	return s.inFronts(ctx, "show tables of", func(tx pgx.Tx) error {
		for _, name := range tables {
			t := s.tables[name]
			if t == nil || t.front == "" {
				return stream.Errorf(stream.Internal, s.op("show a table of"), "table %q is not shown by a front", name)
			}
			if err := s.show(ctx, tx, t); err != nil {
				return fmt.Errorf("show %q: %w", t.name, err)
			}
		}
		return nil
	})
}

// inFronts runs work in a transaction that declares, with the record of fronts at hand.
func (s *Sink) inFronts(ctx context.Context, doing string, work func(pgx.Tx) error) error {
	return classed(s.op(doing), s.transact(ctx, func(tx pgx.Tx) error {
		if err := s.bookkeeping(ctx, tx); err != nil {
			return err
		}
		err := s.createAbsent(ctx, tx, frontsTable, `name text COLLATE "C" PRIMARY KEY, flow text NOT NULL, target text NOT NULL, shows text NOT NULL`)
		if err != nil {
			return err
		}
		return work(tx)
	}))
}

func (s *Sink) show(ctx context.Context, tx pgx.Tx, t *table) error {
	own, there, err := s.ownFront(ctx, tx, t.front)
	if err != nil {
		return err
	}
	if there && !own {
		return stream.Errorf(stream.Usage, s.op("show a table of"), "%q in schema %s exists already and was not made by this flow; move it away, or set "+
			"`table` of %s to another name", t.front, s.schema, t.decl.Name)
	}
	front := qualify(s.schema, t.front)
	replaced, err := s.replaceView(ctx, tx, front, t)
	if err != nil {
		return err
	}
	if !replaced {
		if err := s.remakeView(ctx, tx, front, t); err != nil {
			return err
		}
	}
	_, err = tx.Exec(ctx, `INSERT INTO `+qualify(s.schema, frontsTable)+` (name, flow, target, shows) VALUES ($1, $2, $3, $4)
ON CONFLICT (name) DO UPDATE SET shows = excluded.shows`, t.front, s.flow, s.target, t.name)
	return err
}

// ownFront reports whether a front is there, and whether it is a view of this target's making.
func (s *Sink) ownFront(ctx context.Context, tx pgx.Tx, front string) (own, there bool, err error) {
	err = tx.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM `+qualify(s.schema, frontsTable)+` f JOIN pg_class c ON c.relname = f.name
JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relkind = 'v' AND f.name = $2 AND f.flow = $3 AND f.target = $4)`,
		s.schema, front, s.flow, s.target).Scan(&own)
	if err == nil {
		there, err = s.exists(ctx, tx, front)
	}
	return own, there, err
}

// replaceView makes the view, or replaces what it selects; false when its columns would be others.
func (s *Sink) replaceView(ctx context.Context, tx pgx.Tx, front string, t *table) (done bool, err error) {
	err = pgx.BeginFunc(ctx, tx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "CREATE OR REPLACE VIEW "+front+" AS SELECT * FROM "+t.live.quoted)
		return err
	})
	var refusal *pgconn.PgError
	if errors.As(err, &refusal) && refusal.Code == otherColumns {
		return false, nil
	}
	return err == nil, err
}

// remakeView drops the view and makes it of another table, for the roles that had rights on it.
func (s *Sink) remakeView(ctx context.Context, tx pgx.Tx, front string, t *table) error {
	grants, err := tx.Query(ctx, `SELECT format('GRANT %s ON %s TO %s%s', a.privilege_type, $1::text,
CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END, CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
FROM pg_class c, aclexplode(c.relacl) a WHERE c.oid = $1::regclass AND a.grantee <> c.relowner`, front)
	if err != nil {
		return err
	}
	statements, err := pgx.CollectRows(grants, pgx.RowTo[string])
	if err != nil {
		return err
	}
	statements = append([]string{"DROP VIEW " + front, "CREATE VIEW " + front + " AS SELECT * FROM " + t.live.quoted}, statements...)
	for _, sql := range statements {
		if _, err := tx.Exec(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}

// Shown implements stream.Fronter.
func (s *Sink) Shown(ctx context.Context) (map[string]string, error) {
	shown := map[string]string{}
	return shown, s.inFronts(ctx, "look at the fronts of", func(tx pgx.Tx) error {
		for _, t := range s.order {
			if t.front == "" {
				continue
			}
			own, _, err := s.ownFront(ctx, tx, t.front)
			if err != nil {
				return err
			}
			var shows string
			if own {
				err = tx.QueryRow(ctx, "SELECT shows FROM "+qualify(s.schema, frontsTable)+" WHERE name = $1", t.front).Scan(&shows)
			}
			if err != nil {
				return err
			}
			if shows == t.name {
				shown[t.front] = t.decl.Name
			}
		}
		return nil
	})
}

// hide drops the front of a table that is to be dropped, if it shows it; Show makes it again.
func (s *Sink) hide(ctx context.Context, tx pgx.Tx, t *table) error {
	if t.front == "" {
		return nil
	}
	there, err := s.exists(ctx, tx, frontsTable)
	if err != nil || !there {
		return err
	}
	own, _, err := s.ownFront(ctx, tx, t.front)
	if err != nil || !own {
		return err
	}
	gone, err := tx.Exec(ctx, "DELETE FROM "+qualify(s.schema, frontsTable)+" WHERE name = $1 AND shows = $2", t.front, t.name)
	if err != nil || gone.RowsAffected() == 0 {
		return err
	}
	_, err = tx.Exec(ctx, "DROP VIEW "+qualify(s.schema, t.front))
	return err
}

// Retire implements stream.Fronter.
func (s *Sink) Retire(ctx context.Context) error {
	return s.inFronts(ctx, "drop tables of", func(tx pgx.Tx) error {
		return s.dropTables(ctx, tx, func(name string, d declaration) bool { return d.Left && s.wasEdition(name) })
	})
}

// wasEdition reports whether a table was an edition that a front of a declared table showed, or was to show.
func (s *Sink) wasEdition(name string) bool {
	for _, t := range s.order {
		if t.front != "" && t.name != name && stream.IsEditionOf(name, t.front) {
			return true
		}
	}
	return false
}
