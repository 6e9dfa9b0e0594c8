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

// decimalText says how the text of a declared decimal reads where no schema says it.
type decimalText uint8

const (
	decimalAuto    decimalText = iota // as digits or base64, whichever it can be; an error when it can be both
	decimalPrecise                    // base64 (decimal.handling.mode=precise)
	decimalDigits                     // digits (decimal.handling.mode=string)
)

func decimalTextOf(mode string) decimalText {
	switch mode {
	case "precise":
		return decimalPrecise
	case "string":
		return decimalDigits
	}
	return decimalAuto
}

// convert reads v as the declared type. A hint, the column's schema, only settles what JSON leaves open (units of
// timestamps, text of decimals), so that a source that alternates between wrapped and not gives the same values.
func (d decimalText) convert(v gjson.Result, hint *connectSchema, t stream.Type) (stream.Value, error) {
	if t.Kind == stream.Dynamic {
		return logical(v, hint, 0)
	}
	if v.Type == gjson.Null {
		if !nullable(t) {
			return stream.Value{}, fmt.Errorf("null, but it is declared %s; declare it '%s?' if it may be null", t, t)
		}
		return stream.Value{}, nil
	}
	x, err := d.typed(v, hint, t)
	if err != nil {
		return stream.Value{}, fmt.Errorf("%s can't be read as %s: %w", shape(v), t, err)
	}
	return x, nil
}

func (d decimalText) typed(v gjson.Result, hint *connectSchema, t stream.Type) (stream.Value, error) {
	switch t.Kind {
	case stream.Bool:
		return boolean(v)
	case stream.Int:
		return integer(v)
	case stream.Double:
		return double(v)
	case stream.String:
		if v.Type == gjson.String {
			return stream.StringOf(wellFormed(v.Str)), nil
		}
		return stream.StringOf(wellFormed(v.Raw)), nil
	case stream.Bytes:
		return base64Bytes(v)
	case stream.Timestamp:
		return timestamp(v, hint)
	case stream.Decimal:
		return d.decimal(v, hint, t.Scale)
	case stream.List:
		return d.list(v, hint, t)
	case stream.Map:
		return jsonObject(v)
	}
	return stream.Value{}, errors.New("no column can be of this type")
}

// shape describes a value without showing it.
func shape(v gjson.Result) string {
	switch {
	case v.Type == gjson.String:
		return fmt.Sprintf("a text of %d bytes", len(v.Str))
	case v.Type == gjson.Number:
		return "a number"
	case v.IsBool():
		return "a bool"
	case v.IsArray():
		return "an array"
	case v.IsObject():
		return "an object"
	}
	return "null"
}

func boolean(v gjson.Result) (stream.Value, error) {
	s := v.Raw
	if v.Type == gjson.String {
		s = v.Str
	}
	switch s {
	case "true", "1":
		return stream.BoolOf(true), nil
	case "false", "0":
		return stream.BoolOf(false), nil
	}
	return stream.Value{}, errors.New("a bool is true, false, 1 or 0")
}

func integer(v gjson.Result) (stream.Value, error) {
	s := v.Raw
	if v.Type == gjson.String {
		s = v.Str
	}
	if i, err := strconv.ParseInt(s, 10, 64); err == nil {
		return stream.IntOf(i), nil
	}
	if v.Type == gjson.Number && v.Num == math.Trunc(v.Num) && math.Abs(v.Num) < 1<<53 {
		return stream.IntOf(int64(v.Num)), nil
	}
	return stream.Value{}, errors.New("an int is a whole number of 64 bits")
}

// timestamp takes the unit of a number from the schema, else from its size: below 3 million it is days, below 10^14
// milliseconds, below 10^17 microseconds, else nanoseconds since 1970.
func timestamp(v gjson.Result, hint *connectSchema) (stream.Value, error) {
	unit := int64(0)
	if hint != nil {
		unit = instantUnit(hint.Name)
	}
	if unit == 0 {
		unit = unitBySize(math.Abs(v.Num))
	}
	if t, ok := instant(v, unit); ok {
		return t, nil
	}
	return stream.Value{}, errors.New("a timestamp is ISO 8601 text, or a number since 1970, from the year 1678 to 2261; " +
		"declare the column string if it may be infinite or beyond that")
}

func unitBySize(size float64) int64 {
	switch {
	case size < 3e6:
		return int64(24 * time.Hour)
	case size < 1e14:
		return int64(time.Millisecond)
	case size < 1e17:
		return int64(time.Microsecond)
	}
	return 1
}

func (d decimalText) decimal(v gjson.Result, hint *connectSchema, scale int) (stream.Value, error) {
	x, err := d.anyDecimal(v, hint, scale)
	if err != nil {
		return x, err
	}
	return rescale(x, scale)
}

func (d decimalText) anyDecimal(v gjson.Result, hint *connectSchema, scale int) (stream.Value, error) {
	switch {
	case v.IsObject():
		return variableDecimal(v)
	case v.Type == gjson.Number:
		return decimalOf(v.Raw)
	case v.Type != gjson.String:
		return stream.Value{}, errors.New("a decimal is a number, digits or base64")
	case hint != nil && hint.Name == "org.apache.kafka.connect.data.Decimal":
		return unscaled(v, hint.scale())
	case hint != nil && hint.Type == "string":
		return decimalOf(v.Str)
	}
	return d.decimalText(v, scale)
}

func (d decimalText) decimalText(v gjson.Result, scale int) (stream.Value, error) {
	digits, err := decimalOf(v.Str)
	if d == decimalDigits {
		return digits, err
	}
	if err == nil && strings.ContainsAny(v.Str, ".-") && d == decimalAuto {
		return digits, nil // neither is in base64's alphabet
	}
	_, notBase64 := base64.StdEncoding.DecodeString(v.Str)
	if d == decimalPrecise || err != nil {
		return unscaled(v, scale)
	}
	if notBase64 == nil {
		return stream.Value{}, errors.New("it could be digits or base64; set `decimals: string` or `decimals: precise` on the source, " +
			"as the connector's decimal.handling.mode")
	}
	return digits, nil
}

// decimalOf reads digits with an optional point and exponent, exactly.
func decimalOf(s string) (stream.Value, error) {
	mantissa, exponent, hasExponent := strings.Cut(strings.ToLower(s), "e")
	v, ok := stream.ParseDecimal(mantissa)
	if len(mantissa) > maxDigits || !ok || strings.Trim(mantissa, "-.") == "" {
		return stream.Value{}, errors.New("no decimal digits")
	}
	if !hasExponent {
		return v, nil
	}
	e, err := strconv.Atoi(exponent)
	if err != nil || e > maxDigits || e < -maxDigits {
		return stream.Value{}, errors.New("no decimal exponent")
	}
	u, scale := v.Decimal()
	return stream.DecimalOf(u, scale-e), nil
}

// rescale writes x with exactly scale digits after the point; digits other than zero are never dropped.
func rescale(x stream.Value, scale int) (stream.Value, error) {
	if x.Scale() == scale {
		return x, nil
	}
	u, have := x.Decimal()
	power := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(max(scale-have, have-scale))), nil)
	if scale > have {
		return stream.DecimalOf(u.Mul(u, power), scale), nil
	}
	rest := new(big.Int)
	if u.QuoRem(u, power, rest); rest.Sign() != 0 {
		return stream.Value{}, fmt.Errorf("it has more than %d digits after the point", scale)
	}
	return stream.DecimalOf(u, scale), nil
}

func (d decimalText) list(v gjson.Result, hint *connectSchema, t stream.Type) (stream.Value, error) {
	if !v.IsArray() {
		return stream.Value{}, errors.New("a list is an array")
	}
	out := []stream.Value{}
	var err error
	v.ForEach(func(_, item gjson.Result) bool {
		var x stream.Value
		x, err = d.convert(item, hint.items(), *t.Elem)
		out = append(out, x)
		return err == nil
	})
	return stream.ListOf(out...), err
}

// jsonObject reads an object, or text that holds one, by its JSON form alone.
func jsonObject(v gjson.Result) (stream.Value, error) {
	if v.Type == gjson.String && gjson.Valid(v.Str) {
		v = gjson.Parse(v.Str)
	}
	if !v.IsObject() {
		return stream.Value{}, errors.New("a map is an object, or text that holds one")
	}
	return natural(v, nil, 0)
}
