package control

import (
	"encoding/base64"
	"encoding/json"
	"math"

	"github.com/freshet-dev/freshet/stream"
)

// Value is a value as JSON for people and scripts. It can't be read back exactly: decimals, timestamps (RFC 3339) and
// bytes (base64) are strings, and of a vector there are only its type, its dimensions and its first elements.
type Value struct{ stream.Value }

// vectorHead is how many elements of a vector are shown.
const vectorHead = 3

type vectorJSON struct {
	Vector string    `json:"vector"` // f32, f16, i8, sparse, multivector
	Dims   int       `json:"dims"`
	Head   []float32 `json:"head,omitempty"`
}

// MarshalJSON implements json.Marshaler.
func (v Value) MarshalJSON() ([]byte, error) {
	switch v.Kind() {
	case stream.Null:
		return []byte("null"), nil
	case stream.Bool:
		return json.Marshal(v.Bool())
	case stream.Int:
		return json.Marshal(v.Int())
	case stream.Double:
		return marshalDouble(v.Double())
	case stream.String:
		return json.Marshal(v.Str())
	case stream.Decimal:
		return json.Marshal(v.DecimalText())
	case stream.Bytes:
		return json.Marshal(base64.StdEncoding.EncodeToString([]byte(v.Str())))
	case stream.Timestamp:
		return json.Marshal(v.Time())
	case stream.List:
		return json.Marshal(v.list())
	case stream.Map:
		return json.Marshal(v.fields())
	}
	return v.marshalVector()
}

// marshalDouble writes what JSON has no number for as text.
func marshalDouble(f float64) ([]byte, error) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return json.Marshal(stream.DoubleOf(f).String())
	}
	return json.Marshal(f)
}

func (v Value) list() []Value {
	out := make([]Value, v.Len())
	for i := range out {
		out[i] = Value{v.At(i)}
	}
	return out
}

func (v Value) fields() map[string]Value {
	out := make(map[string]Value, v.Len())
	for _, e := range v.Entries() {
		out[e.Key] = Value{e.Value}
	}
	return out
}

func (v Value) marshalVector() ([]byte, error) {
	out := vectorJSON{Vector: v.Kind().String(), Dims: v.Dims()}
	if v.Kind() == stream.Vector {
		out.Vector = v.Elem().String()
	}
	if f := v.Floats(); v.Kind() == stream.Vector {
		out.Head = f[:min(len(f), vectorHead)]
	}
	return json.Marshal(out)
}

// UnmarshalJSON keeps what commands print: JSON's own kinds, vectors as maps.
func (v *Value) UnmarshalJSON(b []byte) error {
	var list []Value
	var fields map[string]Value
	var text string
	switch {
	case len(b) > 0 && b[0] == '[':
		err := json.Unmarshal(b, &list)
		items := make([]stream.Value, len(list))
		for i := range list {
			items[i] = list[i].Value
		}
		v.Value = stream.ListOf(items...)
		return err
	case len(b) > 0 && b[0] == '{':
		err := json.Unmarshal(b, &fields)
		var entries []stream.Entry
		for k, x := range fields {
			entries = append(entries, stream.Entry{Key: k, Value: x.Value})
		}
		v.Value = stream.MapOf(entries...)
		return err
	case len(b) > 0 && b[0] == '"':
		err := json.Unmarshal(b, &text)
		v.Value = stream.StringOf(text)
		return err
	}
	return v.unmarshalSimple(b)
}

func (v *Value) unmarshalSimple(b []byte) error {
	var whole int64
	if json.Unmarshal(b, &whole) == nil && string(b) != "null" {
		v.Value = stream.IntOf(whole)
		return nil
	}
	var yes *bool
	if json.Unmarshal(b, &yes) == nil {
		v.Value = stream.Value{}
		if yes != nil {
			v.Value = stream.BoolOf(*yes)
		}
		return nil
	}
	var f float64
	err := json.Unmarshal(b, &f)
	v.Value = stream.DoubleOf(f)
	return err
}
