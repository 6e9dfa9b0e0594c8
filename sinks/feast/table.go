package feast

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/freshet-dev/freshet/sinks/guard"
	"github.com/freshet-dev/freshet/stream"
)

// Types of features that this target uses.
const (
	typeBool   = "Bool"
	typeInt    = "Int64"
	typeFloat  = "Float64"
	typeString = "String"
	typeVector = "Array(Float32)"
)

// Features of a row that are not columns.
const (
	fDocument = "_document"
	fKey      = "_key"
	fVersion  = "_version"
	fDeleted  = "_deleted"
	fLineage  = "_lineage"
	fExact    = "_exact"
)

// ownFeatures come before a table's columns.
var ownFeatures = []feature{{fDocument, typeString}, {fKey, typeString}, {fVersion, typeInt}, {fDeleted, typeBool}, {fLineage, typeString}, {fExact, typeString}}

// derivedKey is the join key where no column is.
const derivedKey = "_id"

// The row that says what a table was made with; no row of the flow has this key. A row's ID has a colon.
const (
	headerKey    = `"freshet"`
	headerNumber = "-9223372036854775808"
)

// kept is a column that is a feature, or the join key.
type kept struct {
	column  int
	feature int // among the view's; -1 for the join key
}

// table is one table of the flow as this target keeps it. It is immutable, its turn aside.
type table struct {
	guard.Table
	*view
	kept      []kept
	entity    int // the column that is the join key; -1 for one that is made of document and key
	eventTime int // a column; -1 for none
	pages     int
	turn      turn
}

func newTable(books string, declared stream.TargetTable) (*table, error) {
	set := declared.Settings
	t := &table{Table: guard.Table{Table: declared.Table, As: cmp.Or(set.String("view"), declared.Table.Name)}, entity: -1, eventTime: -1,
		pages: cmp.Or(set.Int("pages"), defaultPages), turn: newTurn()}
	switch {
	case t.As == books:
		return nil, refused(t, "the feature view %s is for bookkeeping; choose another by the setting `view`", books)
	case t.As == "" || !utf8.ValidString(t.As):
		return nil, refused(t, "a feature view can't be named %q; choose another name by the setting `view`", t.As)
	}
	t.view = &view{name: escaped(t.As), key: derivedKey, keyType: typeString, features: slices.Clone(ownFeatures)}
	if err := t.roles(set); err != nil {
		return nil, err
	}
	if err := t.choose(set.Strings("columns")); err != nil {
		return nil, err
	}
	t.Layout = fmt.Sprintf("entity %q, event_time %q, columns %q, %d pages", set.String("entity"), set.String("event_time"), set.Strings("columns"), t.pages)
	return t, nil
}

// roles finds the columns that are the join key and the event time.
func (t *table) roles(set stream.Settings) error {
	if name := set.String("entity"); name != "" {
		n, c, err := t.find("entity", name)
		if err != nil {
			return err
		}
		switch c.Type.Kind {
		case stream.String:
		case stream.Int:
			t.keyType = typeInt
		default:
			return refused(t, "setting entity: column %s is a %s; a join key is a string or an int", name, c.Type)
		}
		t.entity, t.key = n, escaped(name)
	}
	if name := set.String("event_time"); name != "" {
		n, c, err := t.find("event_time", name)
		if err != nil {
			return err
		}
		if c.Type.Kind != stream.Timestamp {
			return refused(t, "setting event_time: column %s is a %s; it has to be a timestamp", name, c.Type)
		}
		t.eventTime = n
	}
	return nil
}

// choose makes features of columns; of all when none is named.
func (t *table) choose(names []string) error {
	for _, name := range names {
		if _, _, err := t.find("columns", name); err != nil {
			return err
		}
	}
	for n, c := range t.Columns {
		switch {
		case c.Name == "" || !utf8.ValidString(c.Name):
			return refused(t, "a column can't be named %q; choose another name", c.Name)
		case n == t.entity:
			t.kept = append(t.kept, kept{n, -1})
		case len(names) == 0 || slices.Contains(names, c.Name):
			t.kept = append(t.kept, kept{n, len(t.features)})
			t.features = append(t.features, feature{escaped(c.Name), featureType(c.Type)})
		}
	}
	return nil
}

func (t *table) find(setting, name string) (n int, c stream.Field, err error) {
	n = slices.IndexFunc(t.Columns, func(c stream.Field) bool { return c.Name == name })
	if n < 0 {
		return n, c, refused(t, "setting %s: there is no column %q", setting, name)
	}
	return n, t.Columns[n], nil
}

func refused(t *table, format string, args ...any) error {
	return stream.Errorf(stream.Usage, configuring, "table %s: "+format, append([]any{t.Name}, args...)...)
}

// featureType is the type of a feature that holds a column; what Feast has no type for is text.
func featureType(of stream.Type) string {
	switch of.Kind {
	case stream.Bool:
		return typeBool
	case stream.Int:
		return typeInt
	case stream.Double:
		return typeFloat
	case stream.Vector:
		return typeVector
	}
	return typeString
}

// header is the join key of the row that says what the table was made with.
func (t *table) header() json.RawMessage {
	if t.keyType == typeInt {
		return json.RawMessage(headerNumber)
	}
	return json.RawMessage(headerKey)
}

// escaped writes what has a meaning in references to features (`view@version:feature`), in names that are made of two (`view__feature`) or here (a first
// underscore), and control characters, as %XX; and a name that push sources have for the time.
func escaped(name string) string {
	if name == timestampField {
		return "%65" + name[1:]
	}
	var b strings.Builder
	for n := range len(name) {
		c := name[n]
		if c == '%' || c == ':' || c == '@' || c < ' ' || c == '_' && (n == 0 || name[n-1] == '_') {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// rowID is a row's join key where no column is: people can read it, and no two rows share one.
func rowID(document, key string) string { return rowEscapes.Replace(document) + ":" + key }

var rowEscapes = strings.NewReplacer("%", "%25", ":", "%3A")
