package topic

import (
	"fmt"
	"strings"

	"github.com/freshet-dev/freshet/stream"
)

// table is one declared table and how its rows are written.
type table struct {
	stream.Table
	index  int // among the target's
	topic  string
	format string
	codec
}

// codec turns columns into a record's value and back; they are in the order of the table's declaration.
type codec interface {
	encode(columns []stream.Value) ([]byte, error)
	decode(value []byte) ([]stream.Value, error)
	schema() []byte // for a header; nil when there is none
}

func newTable(prefix, format string, index int, declared stream.TargetTable) (*table, error) {
	t := &table{Table: declared.Table, index: index, format: format}
	var err error
	if t.topic, err = topicOf(prefix, declared.As()); err != nil {
		return nil, stream.Errorf(stream.Usage, configuring, "table %q: %w", t.Name, err)
	}
	switch format {
	case "json", "":
		t.format, t.codec = "json", asJSON{t.Columns}
	case "avro":
		t.codec, err = newAvro(t.Table)
	default:
		err = fmt.Errorf("setting format: %q is neither json nor avro", format)
	}
	if err != nil {
		return nil, stream.Errorf(stream.Usage, configuring, "table %q: %w", t.Name, err)
	}
	return t, nil
}

// declaration is the text by which a changed declaration is noticed.
func (t *table) declaration() string {
	parts := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		parts[i] = fmt.Sprintf("%q %s", c.Name, c.Type)
	}
	return t.format + " 1 (" + strings.Join(parts, ", ") + ")"
}

// fits reports whether columns are as many and of the kinds that the table declares.
func (t *table) fits(columns []stream.Value) error {
	if len(columns) != len(t.Columns) {
		return fmt.Errorf("a row has %d columns, the table %d", len(columns), len(t.Columns))
	}
	for i, c := range t.Columns {
		v, kind := columns[i], c.Type.Kind
		if !v.IsNull() && kind != stream.Dynamic && kind != stream.Null && v.Kind() != kind {
			return fmt.Errorf("column %s: a %s where a %s is declared", c.Name, v.Kind(), c.Type)
		}
	}
	return nil
}
