package jsonvalue

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math"

	"github.com/freshet-dev/freshet/stream"
)

// AppendRow writes a row's columns to b as a JSON object by column name, each as Append does; vectors other than of f32 are base64 of their
// little-endian elements (sparse: uint32 indices, then float32 values).
func AppendRow(b []byte, columns []stream.Field, values []stream.Value) ([]byte, error) {
	b = append(b, '{')
	for i, f := range columns {
		if i > 0 {
			b = append(b, ',')
		}
		var err error
		if b, err = AppendString(b, f.Name); err == nil {
			b, err = Append(append(b, ':'), asText(values[i]))
		}
		if err != nil {
			return nil, fmt.Errorf("column %s: %w", f.Name, err)
		}
	}
	return append(b, '}'), nil
}

// ParseRow reads what AppendRow wrote for these columns. A column that is absent is null.
func ParseRow(text string, columns []stream.Field) ([]stream.Value, error) {
	written := make([]stream.Field, len(columns))
	for i, f := range columns {
		written[i] = stream.Field{Name: f.Name, Type: textType(f.Type)}
	}
	row, err := Parse(text, stream.MapType(written...))
	if err != nil {
		return nil, err
	}
	if row.Kind() != stream.Map {
		return nil, fmt.Errorf("it holds a %s where a row belongs", row.Kind())
	}
	values := make([]stream.Value, len(columns))
	for i, f := range columns {
		if values[i], err = fromText(row.Field(f.Name), f.Type); err != nil {
			return nil, fmt.Errorf("column %s: %w", f.Name, err)
		}
	}
	return values, nil
}

// IsRaw says whether values of a type are written as their raw elements: vectors other than of f32.
func IsRaw(t stream.Type) bool {
	return t.Kind.IsVector() && (t.Kind != stream.Vector || t.Element != stream.F32)
}

func textType(t stream.Type) stream.Type {
	if IsRaw(t) {
		return stream.TypeString
	}
	return t
}

// asText returns what stands for a column's value in JSON.
func asText(v stream.Value) stream.Value {
	if v.Kind().IsVector() && (v.Kind() != stream.Vector || v.Elem() != stream.F32) {
		return stream.StringOf(base64.StdEncoding.EncodeToString([]byte(v.Raw())))
	}
	return v
}

func fromText(v stream.Value, t stream.Type) (stream.Value, error) {
	if v.IsNull() || !IsRaw(t) {
		if v.IsNull() || t.Kind == stream.Dynamic || v.Kind() == t.Kind {
			return v, nil
		}
		return v, fmt.Errorf("it holds a %s where a %s belongs", v.Kind(), t)
	}
	raw, err := base64.StdEncoding.DecodeString(v.Str())
	if err != nil {
		return v, err
	}
	return RawVector(raw, t)
}

// RawVector undoes Value.Raw.
func RawVector(raw []byte, t stream.Type) (stream.Value, error) {
	switch t.Kind {
	case stream.Sparse:
		n := len(raw) / 8
		indices := make([]uint32, n)
		for i := range indices {
			indices[i] = binary.LittleEndian.Uint32(raw[4*i:])
		}
		return stream.SparseOf(indices, floats(raw[4*n:]))
	case stream.MultiVector:
		return stream.MultiVectorOf(t.Dims, floats(raw))
	}
	return stream.RawVectorOf(t.Element, raw)
}

func floats(b []byte) []float32 {
	out := make([]float32, len(b)/4)
	for i := range out {
		out[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return out
}
