package postgres

import (
	"fmt"
	"slices"
	"strings"

	"github.com/freshet-dev/freshet/stream"
)

// table is one table of the flow as this target keeps it, with the statements for it. It is immutable.
type table struct {
	decl    stream.Table
	name    string // in the database
	stage   string // name of its stage
	front   string // of an edition: the view that shows it or another
	columns []column
	hnsw    []string // columns with an index
	live    relation
	staged  relation
	in      incoming
}

// relation is the table itself or its stage: the statements that write rows to it.
type relation struct {
	quoted string // qualified name
	upsert string // $1 partition; $2.. arrays of document, key, version, lineage, columns
	merge  string // $1 partition; the rows are in the table's temporary one
	remove string // $1 partition; $2.. arrays of document, key, version
}

// maxColumns stays below Postgres's 1600 with our own columns included.
const maxColumns = 1500

func newTable(schema string, declared stream.TargetTable) (*table, error) {
	t := &table{decl: declared.Table, name: declared.As(), front: declared.Front, hnsw: declared.Settings.Strings("hnsw")}
	if err := checkName("table", t.name); err != nil {
		return nil, err
	}
	if strings.HasPrefix(t.name, ownPrefix) {
		return nil, stream.Errorf(stream.Usage, "configure target postgres",
			"table %s: names that start with %s are for bookkeeping; choose another by the setting `table`", t.name, ownPrefix)
	}
	if len(t.decl.Columns) > maxColumns {
		return nil, stream.Errorf(stream.Usage, "configure target postgres", "table %s has %d columns, this target takes %d",
			t.name, len(t.decl.Columns), maxColumns)
	}
	for _, f := range t.decl.Columns {
		c, err := newColumn(t.decl.Name, f)
		if err != nil {
			return nil, err
		}
		t.columns = append(t.columns, c)
	}
	if err := t.checkIndexes(); err != nil {
		return nil, err
	}
	t.stage = stageName(t.name)
	t.live = relation{quoted: qualify(schema, t.name)}
	t.staged = relation{quoted: qualify(schema, t.stage)}
	t.in = t.incoming()
	const raised = "_deleted = false, "
	t.live.upsert, t.live.merge, t.live.remove = t.upsertSQL(t.live.quoted, ""), t.mergeSQL(t.live.quoted, ""), deleteSQL(t.live.quoted)
	t.staged.upsert, t.staged.merge, t.staged.remove = t.upsertSQL(t.staged.quoted, raised), t.mergeSQL(t.staged.quoted, raised), burySQL(t.staged.quoted)
	return t, nil
}

func (t *table) checkIndexes() error {
	slices.Sort(t.hnsw)
	t.hnsw = slices.Compact(t.hnsw)
	for _, name := range t.hnsw {
		c, found := t.column(name)
		why := "the table has no such column"
		if found {
			why = c.indexable()
		}
		if why != "" {
			return stream.Errorf(stream.Usage, "configure target postgres", "table %s: no HNSW index for column %s: %s", t.decl.Name, name, why)
		}
	}
	return nil
}

func (t *table) column(name string) (column, bool) {
	i := slices.IndexFunc(t.columns, func(c column) bool { return c.name == name })
	if i < 0 {
		return column{}, false
	}
	return t.columns[i], true
}

// ownColumns come before the declared ones, in the order of the arguments of upsert.
const ownColumns = "_partition, _document, _key, _version, _lineage"

func (t *table) columnList() string {
	var b strings.Builder
	b.WriteString(ownColumns)
	for _, c := range t.columns {
		b.WriteString(", " + quote(c.name))
	}
	return b.String()
}

// upsertSQL writes rows from arrays. Invariant 3: only over an older version.
func (t *table) upsertSQL(into, also string) string {
	arrays := "$2::text[], $3::text[], $4::bigint[], $5::jsonb[]"
	for i, c := range t.columns {
		arrays += fmt.Sprintf(", $%d::%s[]", i+6, c.sql)
	}
	return fmt.Sprintf("INSERT INTO %s AS t (%s) SELECT $1::int, u.* FROM unnest(%s) AS u\n%s", into, t.columnList(), arrays, t.conflict(also))
}

// conflict is what becomes of a row that is there.
func (t *table) conflict(also string) string {
	return fmt.Sprintf("ON CONFLICT (_document, _key) DO UPDATE SET %s%s WHERE t._version < excluded._version", also, t.assignments())
}

// assignments takes every column but the key from the proposed row.
func (t *table) assignments() string {
	set := "_partition = excluded._partition, _version = excluded._version, _lineage = excluded._lineage"
	for _, c := range t.columns {
		set += fmt.Sprintf(", %[1]s = excluded.%[1]s", quote(c.name))
	}
	return set
}

const removed = "unnest($2::text[], $3::text[], $4::bigint[]) AS u(document, key, version)"

// deleteSQL deletes rows. Invariant 3: only those of an older version. No tombstone is needed: the epoch keeps every
// stale writer out (invariant 4). $1, the partition, is not used, so that both removals take the same arguments.
func deleteSQL(from string) string {
	return fmt.Sprintf(`DELETE FROM %s AS t USING %s
WHERE $1::int IS NOT NULL AND t._document = u.document AND t._key = u.key AND t._version < u.version`, from, removed)
}

// burySQL marks rows of a stage as deleted, since a deletion that the live table saw during the rebuild must win over
// older records that the stage has still to read.
func burySQL(in string) string {
	return fmt.Sprintf(`INSERT INTO %s AS t (_partition, _document, _key, _version, _deleted)
SELECT $1::int, u.document, u.key, u.version, true FROM %s
ON CONFLICT (_document, _key) DO UPDATE SET _partition = excluded._partition, _version = excluded._version, _deleted = true
WHERE t._version < excluded._version`, in, removed)
}
