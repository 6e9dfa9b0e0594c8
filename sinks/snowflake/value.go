package snowflake

import (
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/freshet-dev/freshet/sinks/jsonvalue"
	"github.com/freshet-dev/freshet/stream"
)

var (
	errNUL    = errors.New("this target can't hold the character U+0000 in text")
	errUTF8   = errors.New("the text is no valid UTF-8")
	errDigits = fmt.Errorf("Snowflake can't hold a decimal of more than %d digits, those after the declared point included", maxDigits)
)

func checkText(s string) error {
	if strings.IndexByte(s, 0) >= 0 {
		return errNUL
	}
	if !utf8.ValidString(s) {
		return errUTF8
	}
	return nil
}

// encode gives the value, which is not null, as the text that the column's parse takes.
func (c column) encode(v stream.Value) (string, error) {
	if c.sql == variantType && c.declared.Kind != stream.Sparse {
		return encodeJSON(v)
	}
	if v.Kind() != c.declared.Kind {
		return "", fmt.Errorf("it is declared as %s and got a %s", c.declared, v.Kind())
	}
	switch v.Kind() {
	case stream.Bool:
		return strconv.FormatBool(v.Bool()), nil
	case stream.Int:
		return strconv.FormatInt(v.Int(), 10), nil
	case stream.Double:
		return doubleText(v.Double()), nil
	case stream.Decimal:
		d, err := c.rescaled(v)
		return d.DecimalText(), err
	case stream.Timestamp:
		return strconv.FormatInt(micros(v), 10), nil
	case stream.Bytes:
		return hex.EncodeToString([]byte(v.Str())), nil
	case stream.String:
		return v.Str(), checkText(v.Str())
	}
	return c.encodeVector(v)
}

// encodeJSON writes a list, a map or an untyped value.
func encodeJSON(v stream.Value) (string, error) {
	text, err := jsonvalue.Append(nil, v)
	if err == nil && strings.Contains(string(text), `\u0000`) && holdsNUL(v) {
		err = errNUL
	}
	return string(text), err
}

// holdsNUL looks into strings and keys: the text of a NUL, escaped, may also be a string's own characters.
func holdsNUL(v stream.Value) bool {
	if v.Kind() == stream.String {
		return strings.IndexByte(v.Str(), 0) >= 0
	}
	for i := range v.Len() {
		switch {
		case v.Kind() == stream.Bytes:
			return false
		case v.Kind() == stream.Map && strings.IndexByte(v.KeyAt(i), 0) >= 0, holdsNUL(v.At(i)):
			return true
		}
	}
	return false
}

// doubleText spells a double with all its digits, and the special ones as Snowflake does. There is one zero.
func doubleText(f float64) string {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 0):
		return strings.ToLower(strings.TrimPrefix(strconv.FormatFloat(f, 'g', -1, 64), "+"))
	}
	return strconv.FormatFloat(f+0, 'g', -1, 64)
}

// micros cuts a timestamp to microseconds since 1970, downwards.
func micros(v stream.Value) int64 {
	at := v.Time()
	return at.Add(-time.Duration(at.Nanosecond() % 1000)).UnixMicro()
}

// rescaled gives a decimal with as many digits after the point as the column has.
func (c column) rescaled(v stream.Value) (stream.Value, error) {
	text := v.DecimalText()
	whole, fraction, _ := strings.Cut(text, ".")
	if rest := fraction[min(len(fraction), c.declared.Scale):]; strings.Trim(rest, "0") != "" {
		return v, fmt.Errorf("%.50s has more digits after the point than %s", text, c.declared)
	}
	fraction = (fraction + strings.Repeat("0", c.declared.Scale))[:c.declared.Scale]
	if len(strings.TrimLeft(strings.TrimPrefix(whole, "-")+fraction, "0")) > maxDigits {
		return v, errDigits
	}
	if fraction != "" {
		whole += "." + fraction
	}
	d, _ := stream.ParseDecimal(whole)
	return d, nil
}

// decode undoes encode, for what the driver gives of the column's selection.
func (c column) decode(x any) (stream.Value, error) {
	switch x := x.(type) {
	case nil:
		return stream.Value{}, nil
	case bool:
		return stream.BoolOf(x), nil
	case float64:
		return stream.DoubleOf(x), nil
	case []byte:
		return stream.BytesOf(x), nil
	case string:
		return c.decodeText(x)
	}
	return stream.Value{}, fmt.Errorf("unexpected %T", x)
}

func (c column) decodeText(text string) (stream.Value, error) {
	switch c.declared.Kind {
	case stream.String:
		return stream.StringOf(text), nil
	case stream.Int:
		i, err := strconv.ParseInt(text, 10, 64)
		return stream.IntOf(i), err
	case stream.Timestamp:
		i, err := strconv.ParseInt(text, 10, 64)
		return stream.TimestampOf(time.UnixMicro(i)), err
	case stream.Decimal:
		v, ok := stream.ParseDecimal(text)
		if !ok {
			return v, fmt.Errorf("%.50q is no decimal", text)
		}
		return v, nil
	case stream.Vector, stream.MultiVector, stream.Sparse:
		return c.decodeVector(text)
	}
	return jsonvalue.Parse(text, c.declared)
}

// round gives what decode returns of what encode wrote.
func (c column) round(v stream.Value) (stream.Value, error) {
	if v.IsNull() {
		return v, nil
	}
	text, err := c.encode(v)
	if err != nil {
		return v, err
	}
	switch c.declared.Kind {
	case stream.Bool, stream.Bytes:
		return v, nil
	case stream.Double:
		return stream.DoubleOf(v.Double() + 0), nil
	}
	return c.decodeText(text)
}
