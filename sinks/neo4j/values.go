package neo4j

import (
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/freshet-dev/freshet/sinks/jsonvalue"
	"github.com/freshet-dev/freshet/stream"
)

var errUTF8 = errors.New("the text is no valid UTF-8")

// encode gives a value as a property: what Neo4j has as it is; f32 vectors as lists of floats, as its vector indexes want them; lists as lists
// where all elements are of the one declared kind, and otherwise, as maps and untyped values are, as JSON text; decimals as text; the other kinds
// of vectors as bytes. Null is no property.
func encode(v stream.Value, t stream.Type) (any, error) {
	if v.IsNull() {
		return nil, nil
	}
	switch t.Kind {
	case stream.List, stream.Map, stream.Dynamic, stream.Null:
		return encodeCompound(v, t)
	}
	if v.Kind() != t.Kind {
		return nil, fmt.Errorf("a %s in a column of %s", v.Kind(), t)
	}
	switch v.Kind() {
	case stream.Bool:
		return v.Bool(), nil
	case stream.Int:
		return v.Int(), nil
	case stream.Double:
		return v.Double(), nil
	case stream.Decimal:
		return v.DecimalText(), nil
	case stream.String:
		return v.Str(), checkText(v.Str())
	case stream.Bytes:
		return append([]byte{}, v.Str()...), nil // nil would be null
	case stream.Timestamp:
		return v.Time().UTC(), nil
	case stream.Vector:
		return encodeVector(v, t)
	}
	return stream.AppendValue(nil, v), nil
}

func checkText(s string) error {
	if !utf8.ValidString(s) {
		return errUTF8
	}
	return nil
}

func encodeVector(v stream.Value, t stream.Type) (any, error) {
	if v.Elem() != t.Element || t.Dims > 0 && v.Dims() != t.Dims {
		return nil, fmt.Errorf("it is declared as %s and got a %s vector of %d dimensions", t, v.Elem(), v.Dims())
	}
	if v.Elem() != stream.F32 {
		return []byte(v.Raw()), nil
	}
	floats := v.Floats()
	list := make([]any, len(floats))
	for i, f := range floats {
		list[i] = float64(f)
	}
	return list, nil
}

func encodeCompound(v stream.Value, t stream.Type) (any, error) {
	if list, ok := plainList(v, t); ok {
		return list, nil
	}
	text, err := jsonvalue.Append(nil, v)
	return string(text), err
}

// plainList is a list whose elements are all of the declared kind, one that properties hold.
func plainList(v stream.Value, t stream.Type) ([]any, bool) {
	if v.Kind() != stream.List || t.Kind != stream.List || t.Elem == nil {
		return nil, false
	}
	list := make([]any, v.Len())
	for i := range list {
		e := v.At(i)
		if e.Kind() != t.Elem.Kind {
			return nil, false
		}
		switch e.Kind() {
		case stream.Bool:
			list[i] = e.Bool()
		case stream.Int:
			list[i] = e.Int()
		case stream.Double:
			list[i] = e.Double()
		case stream.String:
			if list[i] = e.Str(); !utf8.ValidString(e.Str()) {
				return nil, false
			}
		default:
			return nil, false
		}
	}
	return list, true
}

// decode undoes encode. What fits no value of the type, since somebody changed it by hand, is text of what it is.
func decode(x any, t stream.Type) stream.Value {
	if v, ok := decodeAs(x, t); ok {
		return v
	}
	return stream.StringOf(fmt.Sprint(x))
}

func decodeAs(x any, t stream.Type) (stream.Value, bool) {
	switch x := x.(type) {
	case nil:
		return stream.Value{}, true
	case bool:
		return stream.BoolOf(x), t.Kind == stream.Bool
	case int64:
		return stream.IntOf(x), t.Kind == stream.Int
	case float64:
		return stream.DoubleOf(x), t.Kind == stream.Double
	case time.Time:
		return stream.TimestampOf(x), t.Kind == stream.Timestamp
	case string:
		return decodeText(x, t)
	case []byte:
		return decodeBytes(x, t)
	case []any:
		return decodeList(x, t)
	}
	return stream.Value{}, false
}

func decodeText(x string, t stream.Type) (stream.Value, bool) {
	switch t.Kind {
	case stream.String:
		return stream.StringOf(x), true
	case stream.Decimal:
		return stream.ParseDecimal(x)
	case stream.List, stream.Map, stream.Dynamic, stream.Null:
		v, err := jsonvalue.Parse(x, t)
		return v, err == nil
	}
	return stream.Value{}, false
}

func decodeBytes(x []byte, t stream.Type) (v stream.Value, ok bool) {
	var err error
	switch t.Kind {
	case stream.Bytes:
		v = stream.BytesOf(x)
	case stream.Vector:
		v, err = stream.RawVectorOf(t.Element, x)
	default:
		v, err = stream.DecodeValue(x)
	}
	return v, err == nil && v.Kind() == t.Kind
}

func decodeList(x []any, t stream.Type) (stream.Value, bool) {
	if t.Kind == stream.Vector {
		floats := make([]float32, len(x))
		for i, e := range x {
			f, ok := e.(float64)
			if !ok {
				return stream.Value{}, false
			}
			floats[i] = float32(f)
		}
		return stream.VectorOf(floats), true
	}
	if t.Kind != stream.List || t.Elem == nil {
		return stream.Value{}, false
	}
	items := make([]stream.Value, len(x))
	for i, e := range x {
		var ok bool
		if items[i], ok = decodeAs(e, *t.Elem); !ok {
			return stream.Value{}, false
		}
	}
	return stream.ListOf(items...), true
}

// properties are a row's columns as they lie in a node or relationship.
func (t *table) properties(columns []stream.Value) (args, error) {
	if len(columns) != len(t.decl.Columns) {
		return nil, stream.Errorf(stream.Internal, "write to table "+t.decl.Name, "a row has %d columns, the table %d", len(columns), len(t.decl.Columns))
	}
	p := args{}
	for i, c := range t.decl.Columns {
		x, err := encode(columns[i], c.Type)
		if err != nil {
			return nil, fmt.Errorf("column %s: %w", c.Name, err)
		}
		if x != nil {
			p[c.Name] = x
		}
	}
	return p, nil
}

// columns undoes properties.
func (t *table) columns(p args) []stream.Value {
	columns := make([]stream.Value, len(t.decl.Columns))
	for i, c := range t.decl.Columns {
		columns[i] = decode(p[c.Name], c.Type)
	}
	return columns
}

// Round passes values through the form in which they lie in properties. See stream.Rounder.
func (s *Sink) Round(name string, columns []stream.Value) ([]stream.Value, error) {
	t, err := s.known(name)
	if err != nil {
		return nil, err
	}
	return t.round(columns)
}

func (t *table) round(columns []stream.Value) ([]stream.Value, error) {
	p, err := t.properties(columns)
	if err != nil {
		return nil, stream.Errorf(stream.Usage, "read table "+t.decl.Name+" of target neo4j", "%w", err)
	}
	return t.columns(p), nil
}
