package blackbox

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"time"

	"github.com/freshet-dev/freshet/stream"
)

// Value makes a value of type t of what encoding/json decoded with numbers kept. what names it in errors, which don't quote it.
func Value(x any, t stream.Type, what string) (stream.Value, error) {
	if x == nil {
		if t.Nullable || t.Kind == stream.Dynamic {
			return stream.Value{}, nil
		}
		return stream.Value{}, fmt.Errorf("%s is null, and declared %s; declare '%s?' if it may be null", what, t, t)
	}
	switch t.Kind {
	case stream.Dynamic:
		return untyped(x, what)
	case stream.List:
		if items, ok := x.([]any); ok {
			return list(items, *t.Elem, what)
		}
	case stream.Map:
		if fields, ok := x.(map[string]any); ok {
			return object(fields, t, what)
		}
	case stream.Vector:
		if items, ok := x.([]any); ok {
			return vector(items, t, what)
		}
	case stream.Bool:
		if b, ok := x.(bool); ok {
			return stream.BoolOf(b), nil
		}
	default:
		if v, ok := scalar(x, t); ok {
			return v, nil
		}
	}
	return stream.Value{}, fmt.Errorf("%s is %s, and declared %s", what, shape(x), t)
}

// shape describes a JSON value without showing it.
func shape(x any) string {
	switch x.(type) {
	case json.Number:
		return "a number"
	case string:
		return "a string"
	case bool:
		return "a bool"
	case []any:
		return "an array"
	}
	return "an object"
}

// scalar reads numbers and what JSON has as strings.
func scalar(x any, t stream.Type) (v stream.Value, ok bool) {
	text, isText := x.(string)
	number, isNumber := x.(json.Number)
	switch t.Kind {
	case stream.Int:
		n, err := strconv.ParseInt(number.String(), 10, 64)
		return stream.IntOf(n), isNumber && err == nil
	case stream.Double:
		if isText {
			return notFinite(text)
		}
		f, err := number.Float64()
		return stream.DoubleOf(f), isNumber && err == nil
	case stream.Decimal:
		if isNumber {
			text = number.String()
		}
		return decimal(text, t.Scale, isText || isNumber)
	case stream.String:
		return stream.StringOf(text), isText
	case stream.Bytes:
		raw, err := base64.StdEncoding.DecodeString(text)
		return stream.BytesOf(raw), isText && err == nil
	case stream.Timestamp:
		at, err := time.Parse(time.RFC3339Nano, text)
		return stream.TimestampOf(at), isText && err == nil && at.Equal(time.Unix(0, at.UnixNano()))
	}
	return v, false
}

// notFinite reads the doubles that JSON lacks.
func notFinite(text string) (stream.Value, bool) {
	switch text {
	case "NaN":
		return stream.DoubleOf(math.NaN()), true
	case "Infinity", "+Inf":
		return stream.DoubleOf(math.Inf(1)), true
	case "-Infinity", "-Inf":
		return stream.DoubleOf(math.Inf(-1)), true
	}
	return stream.Value{}, false
}

// decimal reads digits of at most the declared scale, and gives them that scale.
func decimal(text string, scale int, ok bool) (stream.Value, bool) {
	v, fine := stream.ParseDecimal(text)
	if !ok || !fine || v.Scale() > scale {
		return stream.Value{}, false
	}
	unscaled, have := v.Decimal()
	for ; have < scale; have++ {
		unscaled.Mul(unscaled, big.NewInt(10))
	}
	return stream.DecimalOf(unscaled, scale), true
}

func list(items []any, elem stream.Type, what string) (stream.Value, error) {
	out := make([]stream.Value, len(items))
	for i, x := range items {
		var err error
		if out[i], err = Value(x, elem, fmt.Sprintf("%s[%d]", what, i)); err != nil {
			return stream.Value{}, err
		}
	}
	return stream.ListOf(out...), nil
}

func object(fields map[string]any, t stream.Type, what string) (stream.Value, error) {
	var entries []stream.Entry
	for key, x := range fields {
		field, known := t.FieldType(key)
		if !known {
			return stream.Value{}, fmt.Errorf("%s has a field %.40q, which isn't declared", what, key)
		}
		v, err := Value(x, field, what+"."+key)
		if err != nil {
			return stream.Value{}, err
		}
		entries = append(entries, stream.Entry{Key: key, Value: v})
	}
	for _, f := range t.Fields {
		if _, there := fields[f.Name]; there {
			continue
		}
		v, err := Value(nil, f.Type, what+"."+f.Name)
		if err != nil {
			return stream.Value{}, err
		}
		entries = append(entries, stream.Entry{Key: f.Name, Value: v})
	}
	return stream.MapOf(entries...), nil
}

func vector(items []any, t stream.Type, what string) (stream.Value, error) {
	if len(items) != t.Dims {
		return stream.Value{}, fmt.Errorf("%s has %d dimensions, and is declared %s", what, len(items), t)
	}
	f := make([]float32, len(items))
	for i, x := range items {
		number, ok := x.(json.Number)
		single, err := strconv.ParseFloat(number.String(), 32)
		if !ok || err != nil {
			return stream.Value{}, fmt.Errorf("%s[%d] is no number that 32 bits hold", what, i)
		}
		f[i] = float32(single)
	}
	return stream.VectorOf(f), nil
}

// untyped makes of a value whose type is not declared what JSON says it is; whole numbers are ints.
func untyped(x any, what string) (stream.Value, error) {
	switch x := x.(type) {
	case bool:
		return stream.BoolOf(x), nil
	case string:
		return stream.StringOf(x), nil
	case []any:
		return list(x, stream.TypeDynamic, what)
	case map[string]any:
		return object(x, stream.MapType(), what)
	case json.Number:
		if n, err := strconv.ParseInt(x.String(), 10, 64); err == nil {
			return stream.IntOf(n), nil
		}
		f, err := x.Float64()
		return stream.DoubleOf(f), err
	}
	return stream.Value{}, nil
}
