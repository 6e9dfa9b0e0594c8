package snowflake

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/freshet-dev/freshet/stream"
)

// state of a table in the schema, compared with the declaration.
type state uint8

const (
	sound state = iota
	absent
	differs // of our making, from another declaration, or not finished
)

// catalog describes every table and view of the schema: its columns with their types, as one text.
func (s *Sink) catalog(ctx context.Context, from interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}) (map[string]string, error) {
	rows, err := from.QueryContext(ctx, "SELECT TABLE_NAME, COLUMN_NAME, DATA_TYPE, NUMERIC_PRECISION::VARCHAR, NUMERIC_SCALE::VARCHAR, IS_NULLABLE FROM "+
		s.schema.catalog("COLUMNS")+" WHERE TABLE_SCHEMA = ? ORDER BY TABLE_NAME, ORDINAL_POSITION", s.schema.name)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	tables := map[string]string{}
	for rows.Next() {
		var table, column, kind, nullable string
		var precision, scale sql.NullString
		if err := rows.Scan(&table, &column, &kind, &precision, &scale, &nullable); err != nil {
			return nil, err
		}
		if precision.Valid {
			kind += fmt.Sprintf("(%s,%s)", precision.String, scale.String)
		}
		if nullable == "NO" {
			kind += " not null"
		}
		tables[table] += quote(column) + " " + strings.ToLower(kind) + "\n"
	}
	return tables, rows.Err()
}

// compare tells a table's state; a table that isn't ours, or isn't as we made it, is an error.
func (s *Sink) compare(t *table, r record, recorded bool, there map[string]string) (state, error) {
	if err := s.own(t, r, recorded, there); err != nil {
		return 0, err
	}
	declaration, err := t.declaration()
	if err != nil {
		return 0, err
	}
	is, stage := there[t.name], there[t.stage]
	switch {
	case recorded && r.state != made && r.state != making, recorded && r.declaration != declaration:
		return differs, nil
	case is == "", stage == "", r.state == making:
		return absent, nil
	case is != r.shape:
		return 0, stream.Errorf(stream.Usage, s.op("open"), "table %q was altered by hand: %s; undo that, or drop the table and start again to have it rebuilt",
			t.name, difference(r.shape, is))
	}
	return sound, nil
}

// own refuses a table that something else made.
func (s *Sink) own(t *table, r record, recorded bool, there map[string]string) error {
	if recorded && (r.flow != s.flow || r.target != s.target) {
		return stream.Errorf(stream.Usage, s.op("open"),
			"table %q is kept by flow %s, target %s; choose another name by the setting `table`, or another schema", t.name, r.flow, r.target)
	}
	if there[t.name] != "" && !recorded {
		return stream.Errorf(stream.Usage, s.op("open"),
			"table %q exists and was not made by this flow; drop it, or choose another name by the setting `table`, or another schema", t.name)
	}
	return nil
}

// difference names the columns in which two descriptions differ.
func difference(was, is string) string {
	var all []string
	lines := func(text string) map[string]bool {
		set := map[string]bool{}
		for line := range strings.Lines(text) {
			set[strings.TrimSpace(line)] = true
		}
		return set
	}
	before, now := lines(was), lines(is)
	for line := range strings.Lines(was) {
		if line = strings.TrimSpace(line); !now[line] {
			all = append(all, line+" is gone")
		}
	}
	for line := range strings.Lines(is) {
		if line = strings.TrimSpace(line); !before[line] {
			all = append(all, line+" was not there")
		}
	}
	if len(all) == 0 {
		return "the columns are in another order"
	}
	return strings.Join(all, ", ")
}
