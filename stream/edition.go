package stream

import (
	"context"
	"strconv"
	"strings"
)

// Edition says which editions of a table that rolls out blue-green are computed. An edition is a table of its own, with the
// logic that the table had in one revision of the flow, whose number it has.
type Edition struct {
	Table string // as declared
	Now   int64  // what the flow file in force computes
	Other int64  // computed beside it, by that revision's text; 0: none is
	Shown int64  // the one of them that readers of targets see under the table's name
}

// EditionName is the name of the table that an edition of a table is.
func EditionName(table string, edition int64) string {
	return table + "__" + strconv.FormatInt(edition, 10)
}

// IsEditionOf reports whether a name is that of an edition of a table.
func IsEditionOf(name, table string) bool {
	_, is := EditionOf(name, table)
	return is
}

// EditionOf is the number of the edition of a table that a name is of, if it is of one.
func EditionOf(name, table string) (edition int64, is bool) {
	number, ok := strings.CutPrefix(name, table+"__")
	n, err := strconv.ParseInt(number, 10, 64)
	return n, ok && err == nil && n > 0 && number == strconv.FormatInt(n, 10)
}

// Names are the tables that the editions are.
func (e Edition) Names() []string {
	names := []string{EditionName(e.Table, e.Now)}
	if e.Other != 0 {
		names = append(names, EditionName(e.Table, e.Other))
	}
	return names
}

// Fronter is a Sink that shows one of several tables to readers under another name, the front of these tables
// (TargetTable.Front): a view, an alias, or a pointer that readers look up.
type Fronter interface {
	// Show makes the front of each of these tables show it, all in one step where the target can, else each in one: a reader of
	// a front never sees two tables in one answer. A front that is absent is made; what this flow did not make is left as it is,
	// and is an error (Usage). Repeatable.
	Show(ctx context.Context, tables []string) error
	// Shown returns the tables that fronts show, by front; a front that is absent, or shows none of the declared tables,
	// is absent.
	Shown(ctx context.Context) (map[string]string, error)
	// Retire drops tables of the flow's own making that were shown, or were to be, by a front of declared tables, and are
	// declared no more.
	Retire(ctx context.Context) error
}
