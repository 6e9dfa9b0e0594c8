package sqlite

import (
	"fmt"
	"slices"
	"strings"

	"github.com/freshet-dev/freshet/stream"
)

// maxColumns is SQLite's limit, less our own columns.
const maxColumns = 2000 - 5

// ownColumns stand before the declared ones in each table.
var ownColumns = []string{"_document", "_key", "_version", "_partition", "_lineage"}

// stagePrefix begins the names of stages.
const stagePrefix = "_freshet_stage_"

// table is one declared table and how it lies in the file.
type table struct {
	stream.Table
	name  string // in the database, unquoted
	stage string // its stage's name, unquoted
	front string // of an edition: the view that shows it or another
}

// newTables checks that SQLite can hold the tables: its names are case-insensitive.
func newTables(declared []stream.TargetTable) ([]*table, error) {
	var tables []*table
	seen := map[string]bool{}
	for _, d := range declared {
		t := &table{Table: d.Table, name: d.As(), stage: stagePrefix + d.As(), front: d.Front}
		if err := checkName(t.name, seen, "sqlite_", "_freshet_"); err != nil {
			return nil, stream.Errorf(stream.Usage, "target sqlite", "table %q: %w", t.name, err)
		}
		if err := checkColumns(d.Table); err != nil {
			return nil, stream.Errorf(stream.Usage, "target sqlite", "table %q, %w", t.name, err)
		}
		tables = append(tables, t)
	}
	return tables, nil
}

func checkColumns(t stream.Table) error {
	if len(t.Columns) > maxColumns {
		return fmt.Errorf("%d columns: SQLite holds at most %d", len(t.Columns), maxColumns)
	}
	seen := map[string]bool{}
	for _, own := range ownColumns {
		seen[own] = true
	}
	for _, c := range t.Columns {
		if err := checkName(c.Name, seen); err != nil {
			return fmt.Errorf("column %q: %w", c.Name, err)
		}
	}
	return nil
}

func checkName(name string, seen map[string]bool, reserved ...string) error {
	lower := strings.ToLower(name)
	if name == "" || strings.ContainsRune(name, 0) {
		return fmt.Errorf("SQLite can't hold this name; choose another")
	}
	for _, prefix := range reserved {
		if strings.HasPrefix(lower, prefix) {
			return fmt.Errorf("names that begin with %s are reserved; choose another", prefix)
		}
	}
	if seen[lower] {
		return fmt.Errorf("the name is taken already (SQLite ignores case); choose another")
	}
	seen[lower] = true
	return nil
}

// quoted is an identifier of SQL.
func quoted(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// columnType is how SQLite holds values of t: docs/targets/sqlite.md has the table.
func columnType(t stream.Type) string {
	switch t.Kind {
	case stream.Bool, stream.Int:
		return "integer"
	case stream.Double:
		return "real"
	case stream.Bytes, stream.Vector, stream.Sparse, stream.MultiVector:
		return "blob"
	}
	return "text"
}

// create returns the statement that makes the table, or its stage, under this name.
func (t *table) create(name string) string {
	columns := []string{"_document text NOT NULL", "_key text NOT NULL", "_version integer NOT NULL",
		"_partition integer NOT NULL", "_lineage text"}
	for _, c := range t.Columns {
		columns = append(columns, quoted(c.Name)+" "+columnType(c.Type))
	}
	return fmt.Sprintf("CREATE TABLE %s (%s, PRIMARY KEY (_document, _key))", quoted(name), strings.Join(columns, ", "))
}

// declaration is the text by which a changed declaration is noticed: names and types in order.
func (t *table) declaration() string {
	parts := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		parts[i] = quoted(c.Name) + " " + c.Type.String()
	}
	return "layout 1: " + strings.Join(parts, ", ")
}

// columnList is all columns, own ones first, quoted.
func (t *table) columnList() []string {
	list := slices.Clone(ownColumns)
	for _, c := range t.Columns {
		list = append(list, quoted(c.Name))
	}
	return list
}

// upsert returns the guarded write of one row to the named table. Invariant 3: an older version has no effect.
func (t *table) upsert(name string) string {
	list := t.columnList()
	marks := strings.Repeat("?, ", len(list)-1) + "?"
	return fmt.Sprintf("INSERT INTO %s AS held (%s) VALUES (%s) %s WHERE excluded._version > held._version",
		quoted(name), strings.Join(list, ", "), marks, onConflict(list))
}

func onConflict(list []string) string {
	var set []string
	for _, c := range list[2:] { // all but the primary key
		set = append(set, c+" = excluded."+c)
	}
	return "ON CONFLICT (_document, _key) DO UPDATE SET " + strings.Join(set, ", ")
}

// remove returns the guarded delete of one row.
func (t *table) remove(name string) string {
	return "DELETE FROM " + quoted(name) + " WHERE _document = ? AND _key = ? AND _version < ?"
}

// noteDelete returns the statement that marks a row in the stage as deleted after the rebuild's end: what stands there
// with a version from the end on is no row.
func (t *table) noteDelete() string {
	return "INSERT INTO " + quoted(t.stage) + ` AS held (_document, _key, _version, _partition) VALUES (?, ?, ?, ?)
		ON CONFLICT (_document, _key) DO UPDATE SET _version = excluded._version WHERE excluded._version > held._version`
}
