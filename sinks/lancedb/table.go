package lancedb

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/freshet-dev/freshet/sinks/guard"
	"github.com/freshet-dev/freshet/stream"
)

// bookkeeping is the table of guard's documents.
const bookkeeping = "freshet"

// maxDims is far above any model's; one row has to fit into a request.
const maxDims = 65_536

// column is a column and its name in LanceDB.
type column struct {
	stream.Field
	as string
}

// place is a table in LanceDB: what is asked for by name, and written by one commit at a time.
type place struct {
	name    string // without its namespace
	schema  *arrow.Schema
	commits chan struct{} // holds the one token that a commit of this process takes: two at once cost the server a repetition
}

func newPlace(name string, schema *arrow.Schema) *place {
	p := &place{name: name, schema: schema, commits: make(chan struct{}, 1)}
	p.commits <- struct{}{}
	return p
}

// table is one table of the flow as this target keeps it. It is immutable.
type table struct {
	guard.Table
	*place
	columns []column
}

func newTable(declared stream.TargetTable) (*table, error) {
	t := &table{Table: guard.Table{Table: declared.Table, As: declared.As(), Front: declared.Front}}
	switch {
	case isOwn(t.As), isOwn(t.Front):
		return nil, refused(t, "the tables %s and %s are for bookkeeping; choose another name by the setting `table`", bookkeeping, frontsTable)
	case t.As == "" || !utf8.ValidString(t.As):
		return nil, refused(t, "a table can't be named %q; choose another name by the setting `table`", t.As)
	}
	for _, c := range t.Columns {
		if err := t.check(c); err != nil {
			return nil, err
		}
		t.columns = append(t.columns, column{c, escapedColumn(c.Name)})
	}
	t.place = newPlace(escaped(t.As), t.arrow())
	return t, nil
}

func isOwn(name string) bool { return name == bookkeeping || name == frontsTable }

func refused(t *table, format string, args ...any) error {
	return stream.Errorf(stream.Usage, configuring, "table %s: "+format, append([]any{t.Name}, args...)...)
}

// check refuses a column that LanceDB can't hold.
func (t *table) check(c stream.Field) error {
	switch kind := c.Type.Kind; {
	case c.Name == "" || !utf8.ValidString(c.Name):
		return refused(t, "a column can't be named %q; choose another name", c.Name)
	case (kind == stream.Vector || kind == stream.MultiVector) && (c.Type.Dims < 1 || c.Type.Dims > maxDims):
		return refused(t, "column %s is a %s: LanceDB needs to know the dimensions, 1 to %d", c.Name, c.Type, maxDims)
	}
	return nil
}

// column finds a column by its name in the flow.
func (t *table) column(name string) (c column, i int) {
	if i = slices.IndexFunc(t.columns, func(c column) bool { return c.Name == name }); i >= 0 {
		c = t.columns[i]
	}
	return c, i
}

// escaped writes what a table or namespace can't be named as .xx: LanceDB has letters, digits, _, - and points.
func escaped(name string) string {
	var b strings.Builder
	for i := range len(name) {
		c := name[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, ".%02x", c)
		}
	}
	return b.String()
}

// escapedColumn writes points, which would part a column's name, backticks, which quote one, percent signs, and a first underscore, which the sink's
// and the server's own columns have, as %XX.
func escapedColumn(name string) string {
	name = columnEscapes.Replace(name)
	if strings.HasPrefix(name, "_") {
		name = "%5F" + name[1:]
	}
	return name
}

var (
	columnEscapes = strings.NewReplacer("%", "%25", ".", "%2E", "`", "%60")
	rowEscapes    = strings.NewReplacer("%", "%25", ":", "%3A")
)

// rowID is a row's ID: people can read it, and no two rows share one.
func rowID(document, key string) string { return rowEscapes.Replace(document) + ":" + key }
