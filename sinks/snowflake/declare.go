package snowflake

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"github.com/freshet-dev/freshet/stream"
)

// layoutVersion is raised when the columns beside the declared ones change.
const layoutVersion = 1

// stage of a table's life, as its record tells. Snowflake commits each CREATE and DROP by itself, so that a crash can lie between.
const (
	making    = "making"    // for the first time
	replacing = "replacing" // by Recreate: what is there may still be the old one
	made      = "made"
	left      = "left" // the flow stopped keeping the table here, so that its rows are out of date
)

// record is a row of _freshet_tables: what a table was made from, and what the catalog said of it then.
type record struct{ flow, target, declaration, state, shape string }

const tableColumns = `"name" VARCHAR NOT NULL, "flow" VARCHAR NOT NULL, "target" VARCHAR NOT NULL, "declaration" VARCHAR NOT NULL,
"state" VARCHAR NOT NULL, "shape" VARCHAR NOT NULL`

// declaration is what a table is made from, as text.
func (t *table) declaration() (string, error) {
	d := struct {
		Layout  int         `json:"layout"`
		Columns [][2]string `json:"columns"`
	}{Layout: layoutVersion}
	for _, c := range t.columns {
		d.Columns = append(d.Columns, [2]string{c.name, c.declared.String() + " " + c.sql})
	}
	b, err := json.Marshal(d)
	return string(b), err
}

// Open connects and makes what is absent: schema, bookkeeping, tables. A table that is absent although rows were applied before, since it
// came late or somebody dropped it, counts as changed: made now, it would look complete. Repeatable; not concurrent with other calls.
func (s *Sink) Open(ctx context.Context, flow, target string) ([]string, error) {
	s.flow, s.target = flow, target
	changed, err := s.open(ctx)
	return changed, classed(s.op("open"), err)
}

func (s *Sink) open(ctx context.Context) (changed []string, err error) {
	if err := s.connect(ctx); err != nil {
		return nil, err
	}
	if err := s.alone(ctx, "open", func(conn *sql.Conn) error { return s.bookkeeping(ctx, conn) }); err != nil {
		return nil, err
	}
	var absent []*table
	err = s.transact(ctx, func(tx txn) error {
		changed, absent, err = s.judge(ctx, tx)
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, t := range absent {
		if err := s.create(ctx, t, making, "%s IF NOT EXISTS"); err != nil {
			return nil, err
		}
	}
	return changed, nil
}

// bookkeeping makes the schema and own tables. It looks before it creates, since CREATE asks for rights that a user of existing tables need
// not have.
func (s *Sink) bookkeeping(ctx context.Context, conn *sql.Conn) error {
	var schemas int
	err := conn.QueryRowContext(ctx, "SELECT COUNT(*) FROM "+s.schema.catalog("SCHEMATA")+" WHERE SCHEMA_NAME = ?", s.schema.name).Scan(&schemas)
	if err != nil {
		return err
	}
	if schemas == 0 {
		if _, err := conn.ExecContext(ctx, "CREATE SCHEMA IF NOT EXISTS "+s.schema.String()); err != nil {
			return err
		}
	}
	there, err := s.catalog(ctx, conn)
	if err != nil {
		return err
	}
	own := map[string]string{placesTable: "(" + placeColumns + ")", tablesTable: "(" + tableColumns + ")", lockTable: `AS SELECT 1 AS "turn"`}
	for _, t := range s.order {
		if t.front != "" {
			own[frontsTable] = "(" + frontColumns + ")"
		}
	}
	for name, definition := range own {
		if there[name] != "" {
			continue
		}
		if _, err := conn.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS "+s.schema.table(name)+" "+definition); err != nil {
			return err
		}
	}
	return nil
}

// lockAll takes turns with whoever declares tables or takes a partition in this schema, to the end of the transaction. The lock's row comes
// with its table, by one statement.
func (s *Sink) lockAll(ctx context.Context, tx txn) error {
	n, err := tx.exec(ctx, `UPDATE `+s.schema.table(lockTable)+` SET "turn" = "turn" + 1`)
	if err == nil && n != 1 {
		err = stream.Errorf(stream.Usage, s.op("open"), "table %s holds %d rows, not one; drop it and start again", lockTable, n)
	}
	return err
}

// judge compares every table with its record and with the catalog: those that changed, and those that are to be made. A table that isn't
// ours, or isn't as we made it, is an error.
func (s *Sink) judge(ctx context.Context, tx txn) (changed []string, absent []*table, err error) {
	if err := s.lockAll(ctx, tx); err != nil {
		return nil, nil, err
	}
	records, err := s.records(ctx, tx)
	if err != nil {
		return nil, nil, err
	}
	there, err := s.catalog(ctx, tx)
	if err != nil {
		return nil, nil, err
	}
	begun, err := s.begun(ctx, tx)
	if err != nil {
		return nil, nil, err
	}
	for _, t := range s.order {
		r, recorded := records[t.name]
		is, err := s.compare(t, r, recorded, there)
		switch {
		case err != nil:
			return nil, nil, err
		case is == sound:
		case is == differs || begun:
			changed = append(changed, t.decl.Name)
			continue
		default:
			absent = append(absent, t)
			err = s.note(ctx, tx, t, making, "")
		}
		if err != nil {
			return nil, nil, err
		}
	}
	return changed, absent, s.leave(ctx, tx, records)
}

// begun reports whether any partition has applied something.
func (s *Sink) begun(ctx context.Context, tx txn) (bool, error) {
	var n int
	err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM `+s.places()+` WHERE "flow" = ? AND "target" = ? AND ("next" > 0 OR "rebuild_end" IS NOT NULL)`,
		s.flow, s.target).Scan(&n)
	return n > 0, err
}

// create makes a table and its stage, and notes what the catalog says of them, unless somebody else did so meanwhile. CREATE commits by itself: so
// another session sends it, while this transaction holds the lock under which the record says that it is due. A late one would otherwise replace
// a table that others have filled since.
func (s *Sink) create(ctx context.Context, t *table, due, verb string) error {
	declaration, err := t.declaration()
	if err != nil {
		return err
	}
	return s.transact(ctx, func(tx txn) error {
		if err := s.lockAll(ctx, tx); err != nil {
			return err
		}
		records, err := s.records(ctx, tx)
		switch r := records[t.name]; {
		case err != nil:
			return err
		case r.state == made && r.declaration == declaration:
			return nil
		case r.state != due || r.declaration != declaration:
			return stream.Errorf(stream.Transient, s.op("open"), "table %q is being made by another process, from another declaration; it is looked at again", t.name)
		}
		shape, err := s.build(ctx, t, verb)
		if err != nil {
			return err
		}
		return s.note(ctx, tx, t, made, shape)
	})
}

// build creates a table and its stage, and returns what the catalog says of the table.
func (s *Sink) build(ctx context.Context, t *table, verb string) (shape string, err error) {
	err = s.alone(ctx, "open", func(conn *sql.Conn) error {
		for _, sql := range t.createSQL(verb) {
			if _, err := conn.ExecContext(ctx, sql); err != nil {
				return fmt.Errorf("make table %q: %w", t.name, err)
			}
		}
		there, err := s.catalog(ctx, conn)
		shape = there[t.name]
		return err
	})
	return shape, err
}

// note writes a table's record.
func (s *Sink) note(ctx context.Context, tx txn, t *table, state, shape string) error {
	declaration, err := t.declaration()
	if err != nil {
		return err
	}
	return s.put(ctx, tx, t.name, record{s.flow, s.target, declaration, state, shape})
}

func (s *Sink) put(ctx context.Context, tx txn, name string, r record) error {
	if _, err := tx.exec(ctx, `DELETE FROM `+s.schema.table(tablesTable)+` WHERE "name" = ?`, name); err != nil {
		return err
	}
	_, err := tx.exec(ctx, `INSERT INTO `+s.schema.table(tablesTable)+` ("name", "flow", "target", "declaration", "state", "shape") VALUES (?, ?, ?, ?, ?, ?)`,
		name, r.flow, r.target, r.declaration, r.state, r.shape)
	return err
}

// records reads _freshet_tables.
func (s *Sink) records(ctx context.Context, tx txn) (map[string]record, error) {
	rows, err := tx.QueryContext(ctx, `SELECT "name", "flow", "target", "declaration", "state", "shape" FROM `+s.schema.table(tablesTable))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	records := map[string]record{}
	for rows.Next() {
		var name string
		var r record
		if err := rows.Scan(&name, &r.flow, &r.target, &r.declaration, &r.state, &r.shape); err != nil {
			return nil, err
		}
		records[name] = r
	}
	return records, rows.Err()
}

// leave marks own tables that are no longer kept: taken up again, they would lack what happened meanwhile.
func (s *Sink) leave(ctx context.Context, tx txn, records map[string]record) error {
	for _, t := range s.order {
		delete(records, t.name)
	}
	for name, r := range records {
		if r.flow != s.flow || r.target != s.target || r.state == left {
			continue
		}
		r.state = left
		if err := s.put(ctx, tx, name, r); err != nil {
			return err
		}
	}
	return nil
}
