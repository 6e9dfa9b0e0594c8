package schemas

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"github.com/freshet-dev/freshet/stream"
)

const (
	maxNesting = 100  // of lists and maps in one column
	maxDigits  = 4096 // of one number
)

// logical reads a JSON value by its Connect schema, or, without one, by its JSON form: integers are Int (Decimal beyond
// 64 bits), other numbers Double, objects Map, arrays List. Instants that a Timestamp can't hold (outside 1677 to 2262,
// infinity) and times of day stay what the source sent.
func logical(v gjson.Result, s *connectSchema, depth int) (stream.Value, error) {
	if depth > maxNesting {
		return stream.Value{}, fmt.Errorf("nested deeper than %d", maxNesting)
	}
	if v.Type == gjson.Null {
		return stream.Value{}, nil
	}
	if s == nil || strings.HasPrefix(s.Name, "io.debezium.data.geometry.") {
		return natural(v, nil, depth)
	}
	switch s.Name {
	case "org.apache.kafka.connect.data.Decimal":
		return unscaled(v, s.scale())
	case "io.debezium.data.VariableScaleDecimal":
		return variableDecimal(v)
	}
	if unit := instantUnit(s.Name); unit != 0 {
		if t, ok := instant(v, unit); ok {
			return t, nil
		}
		return natural(v, nil, depth)
	}
	switch s.Type {
	case "bytes":
		return base64Bytes(v)
	case "float", "double":
		return double(v)
	}
	return natural(v, s, depth)
}

func natural(v gjson.Result, s *connectSchema, depth int) (stream.Value, error) {
	switch v.Type {
	case gjson.Null:
		return stream.Value{}, nil
	case gjson.True, gjson.False:
		return stream.BoolOf(v.Type == gjson.True), nil
	case gjson.Number:
		return number(v.Raw)
	case gjson.String:
		return stream.StringOf(wellFormed(v.Str)), nil
	}
	if depth >= maxNesting {
		return stream.Value{}, fmt.Errorf("nested deeper than %d", maxNesting)
	}
	if v.IsArray() {
		return naturalList(v, s.items(), depth)
	}
	return naturalMap(v, s, depth)
}

func naturalList(v gjson.Result, items *connectSchema, depth int) (stream.Value, error) {
	out := []stream.Value{}
	var err error
	v.ForEach(func(_, item gjson.Result) bool {
		var x stream.Value
		x, err = logical(item, items, depth+1)
		out = append(out, x)
		return err == nil
	})
	return stream.ListOf(out...), err
}

func naturalMap(v gjson.Result, s *connectSchema, depth int) (stream.Value, error) {
	var out []stream.Entry
	var err error
	v.ForEach(func(key, item gjson.Result) bool {
		hint := s.field(key.Str)
		if hint == nil && s != nil {
			hint = s.Values
		}
		var x stream.Value
		x, err = logical(item, hint, depth+1)
		out = append(out, stream.Entry{Key: wellFormed(key.Str), Value: x})
		return err == nil
	})
	return stream.MapOf(out...), err
}

// wellFormed makes a string that any consumer accepts as UTF-8 text, and copies it away from the record's bytes.
func wellFormed(s string) string { return strings.Clone(strings.ToValidUTF8(s, "\uFFFD")) }

func number(raw string) (stream.Value, error) {
	if len(raw) > maxDigits {
		return stream.Value{}, fmt.Errorf("a number of %d characters", len(raw))
	}
	if !strings.ContainsAny(raw, ".eE") {
		if i, err := strconv.ParseInt(raw, 10, 64); err == nil {
			return stream.IntOf(i), nil
		}
		if v, ok := stream.ParseDecimal(raw); ok {
			return v, nil
		}
	}
	return doubleText(raw)
}

func double(v gjson.Result) (stream.Value, error) {
	if v.Type == gjson.String {
		return doubleText(v.Str)
	}
	return doubleText(v.Raw)
}

func doubleText(s string) (stream.Value, error) {
	switch s {
	case "NaN":
		return stream.DoubleOf(math.NaN()), nil
	case "Infinity":
		return stream.DoubleOf(math.Inf(1)), nil
	case "-Infinity":
		return stream.DoubleOf(math.Inf(-1)), nil
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || strings.ContainsAny(s, "xXpPiIaA_") {
		return stream.Value{}, errors.New("not a number, or one beyond the range of a double")
	}
	return stream.DoubleOf(f), nil
}

// unscaled reads a Connect Decimal: the base64 of a big-endian two's complement number, of which scale digits follow the
// point. Where the connector sends text or a number instead, that is read.
func unscaled(v gjson.Result, scale int) (stream.Value, error) {
	if v.Type == gjson.Number {
		return decimalOf(v.Raw)
	}
	raw, err := base64Text(v)
	if err != nil {
		return stream.Value{}, err
	}
	if len(raw) > maxDigits {
		return stream.Value{}, fmt.Errorf("a number of %d bytes", len(raw))
	}
	return stream.DecimalOf(twosComplement(raw), scale), nil
}

func twosComplement(b []byte) *big.Int {
	n := new(big.Int).SetBytes(b)
	if len(b) > 0 && b[0]&0x80 != 0 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
	}
	return n
}

func variableDecimal(v gjson.Result) (stream.Value, error) {
	scale := v.Get("scale")
	if !v.IsObject() || scale.Type != gjson.Number || math.Abs(scale.Num) > maxDigits {
		return stream.Value{}, errors.New("a variable-scale decimal is an object of scale and value")
	}
	return unscaled(v.Get("value"), int(scale.Num))
}

func base64Bytes(v gjson.Result) (stream.Value, error) {
	raw, err := base64Text(v)
	return stream.BytesOf(raw), err
}

func base64Text(v gjson.Result) ([]byte, error) {
	if v.Type != gjson.String {
		return nil, fmt.Errorf("%s where base64 text was expected", shape(v))
	}
	raw, err := base64.StdEncoding.DecodeString(v.Str)
	if err != nil {
		raw, err = base64.URLEncoding.DecodeString(v.Str)
	}
	if err != nil {
		return nil, fmt.Errorf("%s is no base64", shape(v))
	}
	return raw, nil
}

// instantUnit is the nanoseconds of one unit of a logical date or timestamp; 1 for text; 0 when it is none.
func instantUnit(name string) int64 {
	switch name {
	case "io.debezium.time.Date", "org.apache.kafka.connect.data.Date":
		return int64(24 * time.Hour)
	case "io.debezium.time.Timestamp", "org.apache.kafka.connect.data.Timestamp":
		return int64(time.Millisecond)
	case "io.debezium.time.MicroTimestamp":
		return int64(time.Microsecond)
	case "io.debezium.time.NanoTimestamp", "io.debezium.time.ZonedTimestamp", "io.debezium.time.IsoTimestamp", "io.debezium.time.IsoDate":
		return 1
	}
	return 0
}

// instant reads a number of units since 1970, or ISO 8601 text. ok is false when a Timestamp can't hold it.
func instant(v gjson.Result, unit int64) (stream.Value, bool) {
	if v.Type == gjson.String {
		return isoInstant(v.Str)
	}
	n, err := strconv.ParseInt(v.Raw, 10, 64)
	if v.Type != gjson.Number || err != nil || n > math.MaxInt64/unit || n < math.MinInt64/unit || n == math.MaxInt64 || n == math.MinInt64 {
		return stream.Value{}, false
	}
	return stream.TimestampOf(time.Unix(0, n*unit)), true
}

var isoForms = [...]string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999Z07:00",
	"2006-01-02 15:04:05.999999999", "2006-01-02Z07:00", "2006-01-02"}

var minInstant, maxInstant = time.Unix(0, math.MinInt64), time.Unix(0, math.MaxInt64)

func isoInstant(s string) (stream.Value, bool) {
	for _, form := range isoForms {
		if t, err := time.Parse(form, s); err == nil {
			return stream.TimestampOf(t), !t.Before(minInstant) && !t.After(maxInstant)
		}
	}
	return stream.Value{}, false
}
