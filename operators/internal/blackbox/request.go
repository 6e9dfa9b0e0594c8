package blackbox

import (
	"fmt"
	"strings"

	"github.com/freshet-dev/freshet/sinks/jsonvalue"
	"github.com/freshet-dev/freshet/stream"
)

// Items writes inputs as a JSON array. Those that JSON can't hold are left out and fail: at says which inputs were
// written, in order.
func (d Declared) Items(inputs []stream.Value) (items []byte, at []int, failed map[int]error) {
	items, failed = []byte{'['}, map[int]error{}
	for i, in := range inputs {
		before := len(items)
		if len(at) > 0 {
			items = append(items, ',')
		}
		longer, err := jsonvalue.Append(items, in)
		if err != nil {
			items = items[:before]
			failed[i] = stream.Errorf(stream.Invalid, d.Op, "the input can't be written as JSON: %w", err)
			continue
		}
		items, at = longer, append(at, i)
	}
	return append(items, ']'), at, failed
}

// Told writes the settings as a JSON object.
func (d Declared) Told() ([]byte, error) {
	if d.Settings.IsNull() {
		return []byte("{}"), nil
	}
	told, err := jsonvalue.Append(nil, d.Settings)
	if err != nil {
		return nil, stream.Errorf(stream.Usage, d.Op, "settings: %w", err)
	}
	return told, nil
}

// Shape writes a type as JSON: an object for a map of known fields, an array of one for a list, else the text that flow
// files have, such as "int?" and "vector(3)".
func Shape(t stream.Type) string {
	switch {
	case t.Kind == stream.Map && t.Fields != nil && !t.Nullable:
		fields := make([]string, len(t.Fields))
		for i, f := range t.Fields {
			fields[i] = fmt.Sprintf("%q:%s", f.Name, Shape(f.Type)) // names are ASCII identifiers
		}
		return "{" + strings.Join(fields, ",") + "}"
	case t.Kind == stream.List && t.Elem != nil && !t.Nullable:
		return "[" + Shape(*t.Elem) + "]"
	}
	return `"` + text(t) + `"`
}

func text(t stream.Type) string {
	s := t.String()
	switch {
	case t.Kind == stream.List && t.Elem != nil:
		s = "list(" + text(*t.Elem) + ")"
	case t.Kind == stream.Vector:
		s = fmt.Sprintf("vector(%d)", t.Dims)
	default:
		return s
	}
	if t.Nullable {
		s += "?"
	}
	return s
}
