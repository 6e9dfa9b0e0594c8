package qdrant

import (
	"encoding/base64"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/qdrant/go-client/qdrant"

	"github.com/freshet-dev/freshet/sinks/jsonvalue"
	"github.com/freshet-dev/freshet/stream"
)

// payloadOf returns a column's value as payload, for people and filters: kinds that JSON lacks as strings, bytes as base64,
// timestamps in RFC 3339, f32 vectors as lists. exact is false when a reader gets another value back.
func payloadOf(v stream.Value) (p *qdrant.Value, exact bool, err error) {
	switch v.Kind() {
	case stream.Null:
		return qdrant.NewValueNull(), true, nil
	case stream.Bool:
		return qdrant.NewValueBool(v.Bool()), true, nil
	case stream.Int:
		return qdrant.NewValueInt(v.Int()), true, nil
	case stream.Double:
		return doubleOf(v.Double())
	case stream.String:
		if !utf8.ValidString(v.Str()) {
			return nil, false, fmt.Errorf("it holds text that is not UTF-8, which Qdrant can't keep")
		}
		return qdrant.NewValueString(v.Str()), true, nil
	case stream.Decimal:
		return qdrant.NewValueString(v.DecimalText()), false, nil
	case stream.Bytes:
		return qdrant.NewValueString(base64.StdEncoding.EncodeToString([]byte(v.Str()))), false, nil
	case stream.Timestamp:
		return qdrant.NewValueString(v.Time().Format(time.RFC3339Nano)), false, nil
	case stream.List:
		return listOf(v)
	case stream.Map:
		return mapOf(v)
	case stream.Vector:
		return floatsOf(jsonvalue.Floats(v)), false, nil
	}
	return qdrant.NewValueString(v.Kind().String()), false, nil // the whole value is beside it
}

func listOf(v stream.Value) (*qdrant.Value, bool, error) {
	list, exact := &qdrant.ListValue{}, true
	for i := range v.Len() {
		p, same, err := payloadOf(v.At(i))
		if err != nil {
			return nil, false, err
		}
		list.Values, exact = append(list.Values, p), exact && same
	}
	return qdrant.NewValueFromList(list.GetValues()...), exact, nil
}

func mapOf(v stream.Value) (*qdrant.Value, bool, error) {
	fields, exact := map[string]*qdrant.Value{}, true
	for i := range v.Len() {
		p, same, err := payloadOf(v.At(i))
		if err == nil && !utf8.ValidString(v.KeyAt(i)) {
			err = fmt.Errorf("it holds a key that is not UTF-8, which Qdrant can't keep")
		}
		if err != nil {
			return nil, false, err
		}
		fields[v.KeyAt(i)], exact = p, exact && same
	}
	return qdrant.NewValueStruct(&qdrant.Struct{Fields: fields}), exact, nil
}

func floatsOf(f []float32) *qdrant.Value {
	list := make([]*qdrant.Value, len(f))
	for i, x := range f {
		list[i], _, _ = doubleOf(float64(x))
	}
	return qdrant.NewValueFromList(list...)
}

func doubleOf(f float64) (*qdrant.Value, bool, error) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return qdrant.NewValueString(strconv.FormatFloat(f, 'g', -1, 64)), false, nil
	}
	return qdrant.NewValueDouble(f), isShort(f), nil
}

// A server keeps payload as JSON, and reads doubles by one multiplication or division with a power of ten. That is exact
// when the digits make a whole number below 2^53 and the power is below 10^23; else the last bit may come out wrong.
const (
	exactDigits = 15
	exactPower  = 22
)

func isShort(f float64) bool {
	text := strconv.FormatFloat(math.Abs(f), 'e', -1, 64)
	mantissa, exponent, _ := strings.Cut(text, "e")
	power, err := strconv.Atoi(exponent)
	digits := len(mantissa)
	if digits > 1 {
		digits-- // the point
	}
	lowest := power - (digits - 1)
	return err == nil && digits <= exactDigits && lowest >= -exactPower && power < exactDigits
}

// valueOf undoes payloadOf for kinds that JSON has.
func valueOf(p *qdrant.Value) stream.Value {
	switch k := p.GetKind().(type) {
	case *qdrant.Value_BoolValue:
		return stream.BoolOf(k.BoolValue)
	case *qdrant.Value_IntegerValue:
		return stream.IntOf(k.IntegerValue)
	case *qdrant.Value_DoubleValue:
		return stream.DoubleOf(k.DoubleValue)
	case *qdrant.Value_StringValue:
		return stream.StringOf(k.StringValue)
	case *qdrant.Value_ListValue:
		items := make([]stream.Value, len(k.ListValue.GetValues()))
		for i, item := range k.ListValue.GetValues() {
			items[i] = valueOf(item)
		}
		return stream.ListOf(items...)
	case *qdrant.Value_StructValue:
		var entries []stream.Entry
		for key, field := range k.StructValue.GetFields() {
			entries = append(entries, stream.Entry{Key: key, Value: valueOf(field)})
		}
		return stream.MapOf(entries...)
	}
	return stream.Value{}
}

// agree reports whether two payloads are the same but for the last bits of doubles: else somebody changed one by hand.
func agree(a, b *qdrant.Value) bool { return near(valueOf(a), valueOf(b)) }

func near(a, b stream.Value) bool {
	if isNumber(a) && isNumber(b) {
		x, y := number(a), number(b)
		return x == y || math.Abs(x-y) <= 1e-12*max(math.Abs(x), math.Abs(y))
	}
	if a.Kind() != b.Kind() || a.Len() != b.Len() {
		return false
	}
	if a.Kind() != stream.List && a.Kind() != stream.Map {
		return a.Equal(b)
	}
	for i := range a.Len() {
		if a.Kind() == stream.Map && a.KeyAt(i) != b.KeyAt(i) || !near(a.At(i), b.At(i)) {
			return false
		}
	}
	return true
}

func isNumber(v stream.Value) bool { return v.Kind() == stream.Int || v.Kind() == stream.Double }

func number(v stream.Value) float64 {
	if v.Kind() == stream.Int {
		return float64(v.Int())
	}
	return v.Double()
}
