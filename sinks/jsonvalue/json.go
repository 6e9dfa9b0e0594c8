// Package jsonvalue writes values as JSON that people and other programs read, and reads them back by their declared types.
//
// No value is altered to make it fit: what JSON can't hold is refused, or comes as a string. Where the type is not declared,
// such a string stays one.
package jsonvalue

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/freshet-dev/freshet/stream"
)

// TimeLayout is how timestamps are written: it sorts as text, and keeps nanoseconds.
const TimeLayout = "2006-01-02T15:04:05.000000000Z"

// Append writes v to b: doubles always with a point or an exponent, so that they stay apart from ints; kinds that JSON lacks
// as strings; f32 vectors as arrays. Other vectors, and text that is not UTF-8, are errors.
func Append(b []byte, v stream.Value) ([]byte, error) {
	switch v.Kind() {
	case stream.Null:
		return append(b, "null"...), nil
	case stream.Bool:
		return strconv.AppendBool(b, v.Bool()), nil
	case stream.Int:
		return strconv.AppendInt(b, v.Int(), 10), nil
	case stream.Double:
		return appendDouble(b, v.Double(), 64), nil
	case stream.Decimal:
		return append(append(append(b, '"'), v.DecimalText()...), '"'), nil
	case stream.String:
		return AppendString(b, v.Str())
	case stream.Bytes:
		return append(base64.StdEncoding.AppendEncode(append(b, '"'), []byte(v.Str())), '"'), nil
	case stream.Timestamp:
		return append(v.Time().AppendFormat(append(b, '"'), TimeLayout), '"'), nil
	case stream.List:
		return appendList(b, v)
	case stream.Map:
		return appendMap(b, v)
	case stream.Vector:
		if v.Elem() == stream.F32 {
			return appendFloats(b, v.Floats()), nil
		}
	}
	return nil, fmt.Errorf("a %s inside a list, map or untyped column: it can be held only as a column of its own", v.Kind())
}

func appendList(b []byte, v stream.Value) (_ []byte, err error) {
	b = append(b, '[')
	for i := range v.Len() {
		if i > 0 {
			b = append(b, ',')
		}
		if b, err = Append(b, v.At(i)); err != nil {
			return nil, err
		}
	}
	return append(b, ']'), nil
}

func appendMap(b []byte, v stream.Value) (_ []byte, err error) {
	b = append(b, '{')
	for i := range v.Len() {
		if i > 0 {
			b = append(b, ',')
		}
		if b, err = AppendString(b, v.KeyAt(i)); err != nil {
			return nil, err
		}
		if b, err = Append(append(b, ':'), v.At(i)); err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}

func appendFloats(b []byte, floats []float32) []byte {
	b = append(b, '[')
	for i, f := range floats {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendDouble(b, float64(f), 32)
	}
	return append(b, ']')
}

func appendDouble(b []byte, f float64, bits int) []byte {
	switch {
	case math.IsNaN(f):
		return append(b, `"NaN"`...)
	case math.IsInf(f, 0):
		return append(strconv.AppendFloat(append(b, '"'), f, 'g', -1, bits), '"')
	}
	start := len(b)
	b = strconv.AppendFloat(b, f, 'g', -1, bits)
	if !bytes.ContainsAny(b[start:], ".e") {
		b = append(b, ".0"...)
	}
	return b
}

const hexDigits = "0123456789abcdef"

// AppendString writes s as a JSON string, always in the same way. Text that is not UTF-8 is an error.
func AppendString(b []byte, s string) ([]byte, error) {
	if !utf8.ValidString(s) {
		return nil, fmt.Errorf("text that is not UTF-8")
	}
	b = append(b, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < ' ':
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		default:
			b = append(b, c)
		}
	}
	return append(b, '"'), nil
}

// Parse reads what Append wrote for a value of type t. In untyped places, kinds that JSON lacks stay strings.
func Parse(text string, t stream.Type) (stream.Value, error) {
	p := parser{json.NewDecoder(strings.NewReader(text))}
	p.UseNumber()
	v, err := p.value(t)
	if err == nil {
		if _, end := p.Token(); end != io.EOF {
			err = fmt.Errorf("something follows the value")
		}
	}
	if err != nil {
		return stream.Value{}, fmt.Errorf("JSON of a %s: %w; rebuild the target to repair it", t, err)
	}
	return v, nil
}

type parser struct{ *json.Decoder }

func (p parser) value(t stream.Type) (stream.Value, error) {
	token, err := p.Token()
	if err != nil {
		return stream.Value{}, err
	}
	switch x := token.(type) {
	case bool:
		return stream.BoolOf(x), nil
	case json.Number:
		return number(x.String(), t)
	case string:
		return scalar(x, t)
	case json.Delim:
		if x == '[' {
			return p.list(t)
		}
		return p.object(t)
	}
	return stream.Value{}, nil
}

func (p parser) list(t stream.Type) (stream.Value, error) {
	elem := stream.TypeDynamic
	if t.Kind == stream.List && t.Elem != nil {
		elem = *t.Elem
	}
	if t.Kind == stream.Vector {
		elem = stream.TypeDouble
	}
	items := []stream.Value{}
	for p.More() {
		v, err := p.value(elem)
		if err != nil {
			return stream.Value{}, err
		}
		items = append(items, v)
	}
	_, err := p.Token()
	if t.Kind == stream.Vector {
		return vectorOf(items), err
	}
	return stream.ListOf(items...), err
}

func vectorOf(items []stream.Value) stream.Value {
	f := make([]float32, len(items))
	for i, v := range items {
		f[i] = float32(v.Double())
	}
	return stream.VectorOf(f)
}

func (p parser) object(t stream.Type) (stream.Value, error) {
	var entries []stream.Entry
	for p.More() {
		token, err := p.Token()
		if err != nil {
			return stream.Value{}, err
		}
		key, _ := token.(string)
		field, known := t.FieldType(key)
		if !known {
			field = stream.TypeDynamic
		}
		v, err := p.value(field)
		if err != nil {
			return stream.Value{}, err
		}
		entries = append(entries, stream.Entry{Key: key, Value: v})
	}
	_, err := p.Token()
	return stream.MapOf(entries...), err
}

func number(s string, t stream.Type) (stream.Value, error) {
	if t.Kind != stream.Double && !strings.ContainsAny(s, ".eE") {
		if i, err := strconv.ParseInt(s, 10, 64); err == nil {
			return stream.IntOf(i), nil
		}
	}
	f, err := strconv.ParseFloat(s, 64)
	return stream.DoubleOf(f), err
}

func scalar(s string, t stream.Type) (v stream.Value, err error) {
	switch t.Kind {
	case stream.Double:
		f, err := strconv.ParseFloat(s, 64)
		return stream.DoubleOf(f), err
	case stream.Decimal:
		var ok bool
		if v, ok = stream.ParseDecimal(s); !ok {
			err = fmt.Errorf("%.40q is no decimal", s)
		}
		return v, err
	case stream.Bytes:
		raw, err := base64.StdEncoding.DecodeString(s)
		return stream.BytesOf(raw), err
	case stream.Timestamp:
		at, err := time.Parse(TimeLayout, s)
		return stream.TimestampOf(at), err
	}
	return stream.StringOf(s), nil
}
