package snowflake

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/freshet-dev/freshet/stream"
)

// maxName is how many characters Snowflake allows in an identifier.
const maxName = 255

// ownPrefix starts the names of all bookkeeping, so that no table of a flow may start with it.
const ownPrefix = "_freshet_"

const (
	placesTable = ownPrefix + "places"
	tablesTable = ownPrefix + "tables"
	lockTable   = ownPrefix + "lock"
	frontsTable = ownPrefix + "fronts"
	stagePrefix = ownPrefix + "stage_"
)

// ownColumns come before the declared ones.
var ownColumns = []column{
	{name: "_document", sql: "VARCHAR", required: true},
	{name: "_key", sql: "VARCHAR", required: true},
	{name: "_version", sql: integer, required: true},
	{name: "_partition", sql: integer, required: true},
	{name: "_lineage", sql: "VARIANT"},
}

// schema is the one that everything lies in.
type schema struct{ database, name string }

// table returns the qualified name of a table.
func (s schema) table(name string) string { return s.String() + "." + quote(name) }

// catalog returns the qualified name of a view of the database's information schema.
func (s schema) catalog(view string) string { return quote(s.database) + ".INFORMATION_SCHEMA." + view }

// String returns the schema's qualified name.
func (s schema) String() string { return quote(s.database) + "." + quote(s.name) }

// quote makes a name an identifier that Snowflake takes as it is. Unquoted ones are folded to upper case.
func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// checkName refuses what can't be an identifier.
func checkName(what, name string) error {
	problem := ""
	switch {
	case name == "":
		problem = "is empty"
	case utf8.RuneCountInString(name) > maxName:
		problem = fmt.Sprintf("has %d characters, Snowflake allows %d", utf8.RuneCountInString(name), maxName)
	case strings.ContainsRune(name, 0) || !utf8.ValidString(name):
		problem = "holds bytes that no name in Snowflake can hold"
	}
	if problem == "" {
		return nil
	}
	return stream.Errorf(stream.Usage, configuring, "the name of %s %.80q %s; choose another", what, name, problem)
}

func checkColumnName(table, name string) error {
	for _, own := range append(ownColumns, deletedColumn) {
		if own.name == name {
			return stream.Errorf(stream.Usage, configuring,
				"table %s: a column can't be named %s, which has a meaning of its own in this target; choose another name", table, name)
		}
	}
	return checkName("column of table "+table, name)
}

// stageName is the name of a table's stage; a name that would be too long is replaced by its hash.
func stageName(table string) string {
	if name := stagePrefix + table; utf8.RuneCountInString(name) <= maxName {
		return name
	}
	return stagePrefix + stream.FingerprintBytes([]byte(table)).String()
}
