package sqlite

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"github.com/freshet-dev/freshet/sinks/jsonvalue"
	"github.com/freshet-dev/freshet/stream"
)

func (t *rowWriter) bindColumns(values []stream.Value) error {
	if len(values) != len(t.table.Columns) {
		return fmt.Errorf("the row has %d columns, the table %d", len(values), len(t.table.Columns))
	}
	for i, c := range t.table.Columns {
		x, err := encode(values[i], c.Type)
		if err != nil {
			return fmt.Errorf("column %s: %w", c.Name, err)
		}
		t.args = append(t.args, x)
	}
	return nil
}

// isJSON says whether values of this kind lie in the file as JSON.
func isJSON(k stream.Kind) bool {
	return k == stream.List || k == stream.Map || k == stream.Dynamic || k == stream.Null
}

// encode returns v as the driver binds it, for a column of type t.
func encode(v stream.Value, t stream.Type) (any, error) {
	if v.IsNull() {
		return nil, nil
	}
	if isJSON(t.Kind) {
		text, err := jsonvalue.Append(nil, v)
		return string(text), err
	}
	if v.Kind() != t.Kind {
		return nil, fmt.Errorf("a %s in a column of %s", v.Kind(), t)
	}
	switch t.Kind {
	case stream.Bool:
		if v.Bool() {
			return int64(1), nil
		}
		return int64(0), nil
	case stream.Int:
		return v.Int(), nil
	case stream.Double:
		return encodeDouble(v.Double()), nil
	case stream.Decimal:
		return v.DecimalText(), nil
	case stream.String:
		return v.Str(), nil
	case stream.Bytes:
		return blob(v.Str()), nil
	case stream.Timestamp:
		return v.Time().Format(jsonvalue.TimeLayout), nil
	}
	return blob(v.Raw()), nil
}

// blob is never a nil slice, which the driver would take for null.
func blob(s string) []byte { return append([]byte{}, s...) }

// encodeDouble writes NaN as text, since SQLite would store null.
func encodeDouble(f float64) any {
	if math.IsNaN(f) {
		return "NaN"
	}
	return f
}

// decode undoes encode: x is what the driver read from a column of type t.
func decode(x any, t stream.Type) (stream.Value, error) {
	switch x := x.(type) {
	case nil:
		return stream.Value{}, nil
	case int64:
		return decodeInt(x, t)
	case float64:
		if t.Kind == stream.Double {
			return stream.DoubleOf(x), nil
		}
	case string:
		return decodeText(x, t)
	case []byte:
		return decodeBlob(x, t)
	}
	return unreadable(x, t)
}

func unreadable(x any, t stream.Type) (stream.Value, error) {
	return stream.Value{}, fmt.Errorf("the file holds %.80v where a %s belongs; rebuild the target to repair it", x, t)
}

func decodeInt(i int64, t stream.Type) (stream.Value, error) {
	switch t.Kind {
	case stream.Bool:
		return stream.BoolOf(i != 0), nil
	case stream.Int:
		return stream.IntOf(i), nil
	}
	return unreadable(i, t)
}

func decodeText(s string, t stream.Type) (stream.Value, error) {
	if isJSON(t.Kind) {
		return jsonvalue.Parse(s, t)
	}
	switch t.Kind {
	case stream.String:
		return stream.StringOf(s), nil
	case stream.Double:
		if s == "NaN" {
			return stream.DoubleOf(math.NaN()), nil
		}
	case stream.Decimal:
		if v, ok := stream.ParseDecimal(s); ok {
			return v, nil
		}
	case stream.Timestamp:
		if at, err := time.Parse(jsonvalue.TimeLayout, s); err == nil {
			return stream.TimestampOf(at), nil
		}
	}
	return unreadable(s, t)
}

func decodeBlob(b []byte, t stream.Type) (stream.Value, error) {
	switch t.Kind {
	case stream.Bytes:
		return stream.BytesOf(b), nil
	case stream.Vector:
		return stream.RawVectorOf(t.Element, b)
	case stream.MultiVector:
		return stream.MultiVectorOf(t.Dims, floats(b))
	case stream.Sparse:
		return decodeSparse(b)
	}
	return unreadable(b, t)
}

// decodeSparse reads as many uint32 indices as float32 values.
func decodeSparse(b []byte) (stream.Value, error) {
	n := len(b) / 8
	indices := make([]uint32, n)
	for i := range indices {
		indices[i] = binary.LittleEndian.Uint32(b[4*i:])
	}
	return stream.SparseOf(indices, floats(b[4*n:]))
}

func floats(b []byte) []float32 {
	out := make([]float32, len(b)/4)
	for i := range out {
		out[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return out
}
