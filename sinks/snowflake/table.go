package snowflake

import (
	"fmt"
	"slices"
	"strings"

	"github.com/freshet-dev/freshet/stream"
)

// table is one table of the flow as this target keeps it, with the statements for it. It is immutable.
type table struct {
	decl    stream.Table
	name    string   // in the schema
	stage   string   // name of its stage
	front   string   // of an edition: the view that shows it or another
	all     []column // our own, then the declared ones
	columns []column // the declared ones
	live    relation
	staged  relation
}

// relation is the table itself or its stage: the statements that write rows to it, each of one argument, the rows as JSON (rows.go).
type relation struct {
	quoted string // qualified name
	upsert string
	remove string // takes rows of document, key, version and partition
}

func newTable(in schema, declared stream.TargetTable, vectors bool) (*table, error) {
	t := &table{decl: declared.Table, name: declared.As(), front: declared.Front, all: slices.Clone(ownColumns)}
	if err := checkName("table", t.name); err != nil {
		return nil, err
	}
	if strings.HasPrefix(t.name, ownPrefix) {
		return nil, stream.Errorf(stream.Usage, configuring,
			"table %s: names that start with %s are for bookkeeping; choose another by the setting `table`", t.name, ownPrefix)
	}
	for _, f := range t.decl.Columns {
		c, err := newColumn(t.decl.Name, f, vectors)
		if err != nil {
			return nil, err
		}
		t.all = append(t.all, c)
	}
	t.columns = t.all[len(ownColumns):]
	t.stage = stageName(t.name)
	t.live, t.staged = relation{quoted: in.table(t.name)}, relation{quoted: in.table(t.stage)}
	t.live.upsert = t.upsertSQL(t.live.quoted, "")
	t.live.remove = removeSQL(t.live.quoted, "DELETE", "")
	t.staged.upsert = t.upsertSQL(t.staged.quoted, "FALSE")
	id := listOf(removed, func(c column) string { return quote(c.name) })
	t.staged.remove = removeSQL(t.staged.quoted,
		`UPDATE SET "_version" = s."_version", "_partition" = s."_partition", "_deleted" = TRUE`,
		"\nWHEN NOT MATCHED THEN INSERT ("+id+`, "_deleted") VALUES (`+listOf(removed, proposed)+", TRUE)")
	return t, nil
}

// removed are the columns of a row that is to be deleted.
var removed = ownColumns[:4]

// sameRow finds a proposed row among those held. Invariant 3: what is older than the one held has no effect.
const (
	sameRow = ` ON t."_document" = s."_document" AND t."_key" = s."_key"`
	older   = `t."_version" < s."_version"`
)

func listOf(columns []column, each func(column) string) string {
	parts := make([]string, len(columns))
	for i, c := range columns {
		parts[i] = each(c)
	}
	return strings.Join(parts, ", ")
}

func proposed(c column) string { return "s." + quote(c.name) }

func assigned(c column) string { return quote(c.name) + " = s." + quote(c.name) }

// rowsOf is a query that makes rows of the argument.
func rowsOf(columns []column) string {
	parts := make([]string, len(columns))
	for i, c := range columns {
		parts[i] = c.parse(fmt.Sprintf("f.VALUE[%d]::VARCHAR", i)) + " AS " + quote(c.name)
	}
	return "(SELECT " + strings.Join(parts, ", ") + " FROM TABLE(FLATTEN(INPUT => PARSE_JSON(?))) AS f)"
}

// upsertSQL writes rows. deleted is what becomes of a stage's _deleted; "" for the table itself, which has none.
func (t *table) upsertSQL(into, deleted string) string {
	set, names, values := listOf(t.all[2:], assigned), listOf(t.all, func(c column) string { return quote(c.name) }), listOf(t.all, proposed)
	if deleted != "" {
		set, names, values = set+`, "_deleted" = `+deleted, names+`, "_deleted"`, values+", "+deleted
	}
	return "MERGE INTO " + into + " AS t USING " + rowsOf(t.all) + " AS s" + sameRow + "\nWHEN MATCHED AND " + older + " THEN UPDATE SET " + set +
		"\nWHEN NOT MATCHED THEN INSERT (" + names + ") VALUES (" + values + ")"
}

// removeSQL deletes rows, or marks them as deleted in a stage. A deletion from the table needs no tombstone: the epoch keeps every stale
// writer out (invariant 4).
func removeSQL(from, matched, unmatched string) string {
	return "MERGE INTO " + from + " AS t USING " + rowsOf(removed) + " AS s" + sameRow + "\nWHEN MATCHED AND " + older + " THEN " + matched + unmatched
}

// unstagedSQL deletes rows that are not staged. Its arguments: the partition of the stage; partitions and partition, for rows whose partition
// modulo partitions is that; the versions before which and from which on rows are meant.
func (t *table) unstagedSQL() string {
	return `MERGE INTO ` + t.live.quoted + ` AS t USING (SELECT l."_document" AS "_document", l."_key" AS "_key" FROM ` + t.live.quoted + ` AS l
LEFT JOIN (SELECT "_document", "_key" FROM ` + t.staged.quoted + ` WHERE "_partition" = ? AND NOT "_deleted") AS g
ON l."_document" = g."_document" AND l."_key" = g."_key"
WHERE g."_document" IS NULL AND MOD(l."_partition", ?) = ? AND l."_version" < ? AND l."_version" >= ?) AS s` + sameRow + "\nWHEN MATCHED THEN DELETE"
}

// unstageSQL takes over what is staged. Its arguments: the version from which on rows held are newer than the rebuild, and the partition.
func (t *table) unstageSQL() string {
	names := listOf(t.all, func(c column) string { return quote(c.name) })
	return "MERGE INTO " + t.live.quoted + " AS t USING (SELECT " + names + ", CAST(? AS " + integer + `) AS "_before" FROM ` + t.staged.quoted +
		` WHERE "_partition" = ? AND NOT "_deleted") AS s` + sameRow + "\nWHEN MATCHED AND t.\"_version\" < s.\"_before\" THEN UPDATE SET " +
		listOf(t.all[2:], assigned) + "\nWHEN NOT MATCHED THEN INSERT (" + names + ") VALUES (" + listOf(t.all, proposed) + ")"
}

// selectSQL reads document, key, version, lineage and the columns, in order of (document, key), bytewise.
func (t *table) selectSQL() string {
	return "SELECT " + listOf(append(ownColumns[:3:3], t.all[4:]...), column.selection) + " FROM " + t.live.quoted + ` ORDER BY "_document", "_key"`
}

// createSQL makes a table that is absent, or replaces the one that is there.
func (t *table) createSQL(verb string) []string {
	columns := listOf(t.all, column.definition)
	return []string{
		"CREATE " + fmt.Sprintf(verb, "TABLE") + " " + t.live.quoted + " (" + columns + ")",
		"CREATE " + fmt.Sprintf(verb, "TRANSIENT TABLE") + " " + t.staged.quoted + " (" + columns + ", " + deletedColumn.definition() + ")",
	}
}
