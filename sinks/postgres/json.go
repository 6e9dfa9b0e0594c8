package postgres

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/freshet-dev/freshet/stream"
)

// appendJSON appends v as JSON for a jsonb column. Doubles always have a point or an exponent, so that they stay apart
// from integers; NaN and infinities are strings, as Postgres itself writes them; bytes are base64, timestamps RFC 3339
// with nanoseconds, decimals numbers with all their digits, f32 vectors arrays.
func appendJSON(b []byte, v stream.Value) ([]byte, error) {
	switch v.Kind() {
	case stream.Null, stream.Bool, stream.Int, stream.Decimal:
		return append(b, v.String()...), nil
	case stream.Double:
		return appendDouble(b, v.Double()), nil
	case stream.String:
		return appendText(b, v.Str())
	case stream.Bytes:
		return appendText(b, base64.StdEncoding.EncodeToString([]byte(v.Str())))
	case stream.Timestamp:
		return appendText(b, v.Time().Format(time.RFC3339Nano))
	case stream.List:
		return appendList(b, v)
	case stream.Map:
		return appendMap(b, v)
	}
	if v.Kind() == stream.Vector && v.Elem() == stream.F32 {
		return appendVector(b, v.Floats()), nil
	}
	return nil, fmt.Errorf("a %s inside a list or map can't be kept", v.Kind())
}

func appendList(b []byte, v stream.Value) (_ []byte, err error) {
	b = append(b, '[')
	for i := range v.Len() {
		if i > 0 {
			b = append(b, ',')
		}
		if b, err = appendJSON(b, v.At(i)); err != nil {
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
		if b, err = appendText(b, v.KeyAt(i)); err != nil {
			return nil, err
		}
		if b, err = appendJSON(append(b, ':'), v.At(i)); err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}

func appendText(b []byte, s string) ([]byte, error) {
	if err := checkText(s); err != nil {
		return nil, err
	}
	quoted, err := json.Marshal(s)
	return append(b, quoted...), err
}

// Doubles that Postgres spells for NaN and the infinities.
var specialDoubles = map[string]float64{"NaN": math.NaN(), "Infinity": math.Inf(1), "-Infinity": math.Inf(-1)}

// exactInts is where doubles stop being spelled like an int64.
const exactInts = 1e19

func appendDouble(b []byte, f float64) []byte {
	switch {
	case math.IsNaN(f):
		return append(b, `"NaN"`...)
	case math.IsInf(f, 1):
		return append(b, `"Infinity"`...)
	case math.IsInf(f, -1):
		return append(b, `"-Infinity"`...)
	case f == 0:
		return append(b, "0.0"...) // jsonb has no negative zero
	case f == math.Trunc(f) && math.Abs(f) < exactInts:
		return append(strconv.AppendFloat(b, f, 'f', -1, 64), ".0"...)
	}
	return strconv.AppendFloat(b, f, 'g', -1, 64)
}

func appendVector(b []byte, floats []float32) []byte {
	b = append(b, '[')
	for i, f := range floats {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendFloat(b, float64(f)+0, 'g', -1, 32) // -0 + 0 is 0: jsonb has no negative zero
	}
	return append(b, ']')
}
