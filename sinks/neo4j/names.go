package neo4j

import (
	"strings"
	"unicode/utf8"

	"github.com/freshet-dev/freshet/stream"
)

const configuring = "configure target neo4j"

// ownPrefix starts the labels of all bookkeeping, and the names of constraints and indexes.
const ownPrefix = "_freshet_"

// Labels of the bookkeeping.
const (
	placeLabel = ownPrefix + "place" // where a partition is, and its fence
	tableLabel = ownPrefix + "table" // what a table was made from
	rowLabel   = ownPrefix + "row"   // a row of a table that is not simply nodes
	stageLabel = ownPrefix + "stage" // a row of a rebuild under way
	lockLabel  = ownPrefix + "lock"
	turnLabel  = ownPrefix + "turn"  // whose it is to make constraints and indexes
	frontLabel = ownPrefix + "front" // which edition of a table readers are to see
)

// Properties of nodes and relationships that are not columns.
const (
	documentKey  = "_document"
	keyKey       = "_key"
	versionKey   = "_version"
	partitionKey = "_partition"
	lineageKey   = "_lineage"
	countKey     = "_count" // of the rows that a shared node or relationship is merged from
	idKey        = "_id"    // of a relationship: which table and row it is
	tableKey     = "_table" // of a relationship
)

var reserved = map[string]bool{documentKey: true, keyKey: true, versionKey: true, partitionKey: true, lineageKey: true, countKey: true, idKey: true, tableKey: true}

// maxIdentity is what document ID and key may have together, in bytes: an index entry holds 8 KB with the names beside them.
const maxIdentity = 7000

// maxName keeps a table's name, which is part of index entries, short.
const maxName = 500

// checkName refuses what can't be a label, a type or a property.
func checkName(what, name string) error {
	problem := ""
	switch {
	case name == "":
		problem = "is empty"
	case len(name) > maxName:
		problem = "is too long"
	case !isName(name):
		problem = "holds bytes that no name in Neo4j can hold"
	case strings.HasPrefix(name, ownPrefix):
		problem = "starts with " + ownPrefix + ", as bookkeeping does"
	}
	if problem == "" {
		return nil
	}
	return stream.Errorf(stream.Usage, configuring, "the name of %s %.80q %s; choose another", what, name, problem)
}

func isName(name string) bool {
	return name != "" && utf8.ValidString(name) && !strings.ContainsRune(name, 0)
}

// quote writes a name into Cypher. Cypher replaces \u and four digits before it looks at anything else, also within back-quotes.
func quote(name string) string {
	name = strings.ReplaceAll(name, `\u`, `\u005Cu`)
	return "`" + strings.ReplaceAll(name, "`", "``") + "`"
}

// fingerprint makes one short word of several texts.
func fingerprint(texts ...string) string {
	values := make([]stream.Value, len(texts))
	for i, t := range texts {
		values[i] = stream.StringOf(t)
	}
	return stream.FingerprintOfList(values...).String()
}
