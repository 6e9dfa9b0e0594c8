package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/freshet-dev/freshet/stream"
)

// state of a table in the database, compared with the declaration.
type state uint8

const (
	asDeclared state = iota
	absent
	altered // of our making, from another declaration
)

// inspect tells a table's state; a table that isn't ours, or isn't as we made it, is an error.
func (s *Sink) inspect(ctx context.Context, tx pgx.Tx, t *table, records map[string]record) (state, error) {
	there, err := s.exists(ctx, tx, t.name)
	if err != nil {
		return 0, err
	}
	r, recorded := records[t.name]
	if err := s.own(t, r, there, recorded); err != nil {
		return 0, err
	}
	if !there {
		return absent, nil
	}
	actual, err := s.shapeOf(ctx, tx, t.name)
	if err != nil {
		return 0, err
	}
	if d := difference(r.declaration, actual); d != "" {
		return 0, stream.Errorf(stream.Usage, s.op("open"), "table %q was altered by hand: %s; undo that, or drop the table and start again to have it rebuilt",
			t.name, d)
	}
	was, err := r.declaration.text()
	if err != nil {
		return 0, err
	}
	is, err := t.declaration().text()
	if err != nil {
		return 0, err
	}
	if was != is {
		return altered, nil
	}
	return asDeclared, s.ensureStage(ctx, tx, t)
}

// own refuses a table that something else made.
func (s *Sink) own(t *table, r record, there, recorded bool) error {
	if recorded && (r.flow != s.flow || r.target != s.target) {
		return stream.Errorf(stream.Usage, s.op("open"),
			"table %q is kept by flow %s, target %s; choose another name by the setting `table`, or another schema", t.name, r.flow, r.target)
	}
	if there && !recorded {
		return stream.Errorf(stream.Usage, s.op("open"),
			"table %q exists and was not made by this flow; drop it, or choose another name by the setting `table`, or another schema", t.name)
	}
	return nil
}

// ensureStage makes a stage that somebody dropped, and lets rebuilds that needed it start anew.
func (s *Sink) ensureStage(ctx context.Context, tx pgx.Tx, t *table) error {
	there, err := s.exists(ctx, tx, t.stage)
	if err != nil || there {
		return err
	}
	_, err = tx.Exec(ctx, "CREATE TABLE "+t.staged.quoted+" (LIKE "+t.live.quoted+" INCLUDING INDEXES, _deleted boolean NOT NULL DEFAULT false)")
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `UPDATE `+s.offsets()+` SET epoch = epoch + 1, rebuild_next = 0
WHERE flow = $1 AND target = $2 AND rebuild_end IS NOT NULL`, s.flow, s.target)
	return err
}

// actual is what the catalog says of a table.
type actual struct {
	columns []shape
	primary []string
}

func (s *Sink) shapeOf(ctx context.Context, tx pgx.Tx, name string) (a actual, err error) {
	rows, err := tx.Query(ctx, `SELECT a.attname, t.typname, greatest(a.atttypmod, 0) FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
WHERE a.attrelid = $1::text::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`, qualify(s.schema, name))
	if err != nil {
		return a, err
	}
	if a.columns, err = pgx.CollectRows(rows, pgx.RowToStructByPos[shape]); err != nil {
		return a, err
	}
	rows, err = tx.Query(ctx, `SELECT a.attname FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey::int2[])
WHERE i.indrelid = $1::text::regclass AND i.indisprimary ORDER BY array_position(i.indkey::int2[], a.attnum)`, qualify(s.schema, name))
	if err != nil {
		return a, err
	}
	a.primary, err = pgx.CollectRows(rows, pgx.RowTo[string])
	return a, err
}

// ownShapes are the columns beside the declared ones.
var ownShapes = []shape{{Name: "_document", Type: "text"}, {Name: "_key", Type: "text"}, {Name: "_version", Type: "int8"},
	{Name: "_partition", Type: "int4"}, {Name: "_lineage", Type: "jsonb"}}

// difference says how a table differs from what it was made from; "" when it doesn't.
func difference(d declaration, a actual) string {
	var all []string
	for _, want := range slices.Concat(ownShapes, d.Columns) {
		i := slices.IndexFunc(a.columns, func(c shape) bool { return c.Name == want.Name })
		switch {
		case i < 0:
			all = append(all, fmt.Sprintf("column %s is missing", want.Name))
		case a.columns[i] != want:
			all = append(all, fmt.Sprintf("column %s is %s, not %s", want.Name, a.columns[i], want))
		}
	}
	for _, is := range a.columns {
		if !slices.ContainsFunc(slices.Concat(ownShapes, d.Columns), func(c shape) bool { return c.Name == is.Name }) {
			all = append(all, fmt.Sprintf("column %s was added", is.Name))
		}
	}
	if !slices.Equal(a.primary, []string{"_document", "_key"}) {
		all = append(all, "the primary key is not (_document, _key)")
	}
	return strings.Join(all, ", ")
}

// String writes the type as SQL does.
func (c shape) String() string {
	if c.Dims > 0 {
		return fmt.Sprintf("%s(%d)", c.Type, c.Dims)
	}
	return c.Type
}
