package postgres

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"github.com/freshet-dev/freshet/stream"
)

// maxName is what Postgres keeps of an identifier; it would cut longer ones silently.
const maxName = 63

// ownPrefix starts the names of all bookkeeping, so that no table of a flow may start with it.
const ownPrefix = "_freshet_"

const (
	offsetsTable = ownPrefix + "offsets"
	tablesTable  = ownPrefix + "tables"
	frontsTable  = ownPrefix + "fronts"
	stagePrefix  = ownPrefix + "stage_"
)

// reservedColumns are ours, or Postgres's own system columns.
var reservedColumns = map[string]bool{"_document": true, "_key": true, "_version": true, "_partition": true, "_lineage": true,
	"_deleted": true, "ctid": true, "xmin": true, "xmax": true, "cmin": true, "cmax": true, "tableoid": true}

// checkName refuses what can't be an identifier.
func checkName(what, name string) error {
	problem := ""
	switch {
	case name == "":
		problem = "is empty"
	case len(name) > maxName:
		problem = fmt.Sprintf("has %d bytes, Postgres allows %d", len(name), maxName)
	case strings.ContainsRune(name, 0) || !utf8.ValidString(name):
		problem = "holds bytes that no name in Postgres can hold"
	}
	if problem == "" {
		return nil
	}
	return stream.Errorf(stream.Usage, "configure target postgres", "the name of %s %.80q %s; choose another", what, name, problem)
}

func checkColumnName(table, name string) error {
	if reservedColumns[name] {
		return stream.Errorf(stream.Usage, "configure target postgres",
			"table %s: a column can't be named %s, which has a meaning of its own in this target; choose another name", table, name)
	}
	return checkName("column of table "+table, name)
}

// stageName is the name of a table's stage; a name that would be too long is replaced by its hash.
func stageName(table string) string {
	if name := stagePrefix + table; len(name) <= maxName {
		return name
	}
	return stagePrefix + stream.FingerprintBytes([]byte(table)).String()
}

// indexName is the name of a column's HNSW index. Index names are unique in a schema, so both names go in.
func indexName(table, column string) string {
	id := stream.FingerprintOf(stream.ListOf(stream.StringOf(table), stream.StringOf(column)))
	return ownPrefix + "hnsw_" + id.String()
}

func quote(name string) string { return pgx.Identifier{name}.Sanitize() }

func qualify(schema, name string) string { return pgx.Identifier{schema, name}.Sanitize() }
