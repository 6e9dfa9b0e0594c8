package redis

import (
	"math"
	"strconv"
	"time"

	"github.com/freshet-dev/freshet/stream"
)

// textOf returns a value as the field of a hash, for readers that know nothing of Freshet: numbers as digits, timestamps in RFC 3339, lists, maps,
// sparse and multivectors as JSON, vectors as their raw little-endian elements, strings and bytes as they are. Null has no field.
func textOf(v stream.Value) string {
	switch v.Kind() {
	case stream.String, stream.Bytes:
		return v.Str()
	case stream.Double:
		return doubleText(v.Double())
	case stream.Decimal:
		return v.DecimalText()
	case stream.Timestamp:
		return v.Time().Format(time.RFC3339Nano)
	case stream.Vector:
		return v.Raw()
	case stream.List, stream.Map, stream.Sparse, stream.MultiVector:
		return string(appendJSON(nil, v))
	}
	return v.String() // bool, int
}

func doubleText(f float64) string {
	switch {
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	}
	return strconv.FormatFloat(f, 'g', -1, 64)
}

// valueOf undoes textOf for a column of a type, as far as the text tells. Text of another form is a string.
func valueOf(text string, t stream.Type) stream.Value {
	switch t.Kind {
	case stream.Bool:
		if text == "true" || text == "false" {
			return stream.BoolOf(text == "true")
		}
	case stream.Int:
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return stream.IntOf(n)
		}
	case stream.Double:
		if f, err := strconv.ParseFloat(text, 64); err == nil {
			return stream.DoubleOf(f)
		}
	case stream.Decimal:
		if d, ok := stream.ParseDecimal(text); ok {
			return d
		}
	case stream.Bytes:
		return stream.BytesOf([]byte(text))
	case stream.Timestamp:
		if at, err := time.Parse(time.RFC3339Nano, text); err == nil {
			return stream.TimestampOf(at)
		}
	case stream.Vector:
		if v, err := stream.RawVectorOf(t.Element, []byte(text)); err == nil {
			return v
		}
	case stream.List, stream.Map:
		if v, err := parseJSON(text); err == nil {
			return v
		}
	}
	return stream.StringOf(text)
}
