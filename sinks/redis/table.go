package redis

import (
	"slices"
	"strings"

	"github.com/freshet-dev/freshet/sinks/guard"
	"github.com/freshet-dev/freshet/stream"
)

// Fields of a row's hash that are not columns.
const (
	documentField  = "_document"
	keyField       = "_key"
	versionField   = "_version"
	epochField     = "_epoch"
	partitionField = "_partition"
	lineageField   = "_lineage"
	exactField     = "_exact"
)

var ownFields = []string{documentField, keyField, versionField, epochField, partitionField, lineageField, exactField}

// bookkeeping is what comes after the prefix in the names of keys that hold no rows.
const bookkeeping = "_freshet"

// layout is raised when a row of the same columns is kept in another way.
const layout = "1"

// table is one table of the flow as this target keeps it. It is immutable.
type table struct {
	guard.Table
	rows   string // what the names of its rows' hashes start with
	header string // hash: `columns` it was made with ("" while it is made anew), number of `rows`
	gone   string // hash of tombstones, by row ID: "<version> <epoch> <partition>"
	goneAt string // sorted set of the same, by the time of the delete in milliseconds
}

func newTable(prefix string, declared stream.TargetTable) (*table, error) {
	t := &table{Table: guard.Table{Table: declared.Table, As: declared.As(), Layout: layout}}
	name := escaped(t.As)
	if name == bookkeeping || name == "" {
		return nil, stream.Errorf(stream.Usage, configuring, "table %s: keys named %q are for bookkeeping; choose another name by the setting `table`", t.Name, name)
	}
	for _, c := range t.Columns {
		if slices.Contains(ownFields, c.Name) {
			return nil, stream.Errorf(stream.Usage, configuring, "table %s: a column can't be named %q, which has a meaning of its own in this target; "+
				"choose another name", t.Name, c.Name)
		}
	}
	books := prefix + ":" + bookkeeping
	t.rows, t.header, t.gone, t.goneAt = prefix+":"+name+":", books+":table:"+name, books+":gone:"+name, books+":gone_at:"+name
	return t, nil
}

// rowID names a row within its table. No two rows share one: in the document's part colons are written %3A.
func rowID(document, key string) string {
	if key == "" {
		return escaped(document)
	}
	return escaped(document) + ":" + key
}

// identityOf undoes rowID; ok is false for what rowID does not give.
func identityOf(id string) (document, key string, ok bool) {
	document, key, _ = strings.Cut(id, ":")
	document = unescape.Replace(document)
	return document, key, rowID(document, key) == id
}

var (
	escape   = strings.NewReplacer("%", "%25", ":", "%3A")
	unescape = strings.NewReplacer("%25", "%", "%3A", ":")
)

func escaped(part string) string { return escape.Replace(part) }

// pattern is what SCAN's MATCH takes for names that start with a text.
func pattern(start string) string {
	return literal.Replace(start) + "*"
}

var literal = strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`, "]", `\]`)
