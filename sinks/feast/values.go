package feast

import (
	"encoding/json"
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/freshet-dev/freshet/sinks/jsonvalue"
	"github.com/freshet-dev/freshet/stream"
)

// jsonOf returns a value of a column as it is pushed. It is nil for null, and for what the feature's type can't hold.
func jsonOf(of stream.Type, v stream.Value) json.RawMessage {
	switch of.Kind {
	case stream.Bool, stream.Int, stream.Double:
		f := 0.0
		if v.Kind() == stream.Double {
			f = v.Double()
		}
		if v.Kind() != of.Kind || math.IsNaN(f) || math.IsInf(f, 0) {
			return nil
		}
		text, _ := jsonvalue.Append(nil, v) // of these it can't fail
		return text
	case stream.Vector:
		if v.Kind() != stream.Vector {
			return nil
		}
		return vectorText(jsonvalue.Floats(v))
	}
	return textValue(v)
}

// textValue is a value in a feature of text: strings as they are, what JSON has no kind for as its text, the rest as JSON.
func textValue(v stream.Value) json.RawMessage {
	switch v.Kind() {
	case stream.Null:
		return nil
	case stream.String:
		if !utf8.ValidString(v.Str()) {
			return nil
		}
		return quoted(v.Str())
	case stream.MultiVector:
		var text []byte
		flat, dims := v.Floats(), max(v.Dims(), 1)
		for n := 0; n < len(flat)/dims; n++ {
			one := vectorText(flat[n*dims : (n+1)*dims])
			if one == nil {
				return nil
			}
			text = append(append(text, ','), one...)
		}
		if len(text) == 0 {
			return quoted("[]")
		}
		text[0] = '['
		return quoted(string(append(text, ']')))
	}
	text, err := jsonvalue.Append(nil, v)
	if err != nil {
		return nil
	}
	if text[0] == '"' {
		return text
	}
	return quoted(string(text))
}

// vectorText is nil for what is no array of numbers.
func vectorText(floats []float32) json.RawMessage {
	b := []byte{'['}
	for n, f := range floats {
		if wide := float64(f); math.IsNaN(wide) || math.IsInf(wide, 0) {
			return nil
		}
		if n > 0 {
			b = append(b, ',')
		}
		start := len(b)
		b = strconv.AppendFloat(b, float64(f), 'g', -1, 32)
		if _, err := strconv.Atoi(string(b[start:])); err == nil {
			b = append(b, '.', '0') // a list of ints is another type to the server
		}
	}
	if len(floats) == 0 {
		return nil
	}
	return append(b, ']')
}

// valueOf undoes jsonOf for a column, as far as the text tells. Text of another form is taken as it stands.
func valueOf(text json.RawMessage, of stream.Type) stream.Value {
	if len(text) == 0 {
		return stream.Value{}
	}
	switch of.Kind {
	case stream.Bool, stream.Int, stream.Double:
		if v, err := jsonvalue.Parse(string(text), of); err == nil {
			return v
		}
	case stream.Vector:
		if v, ok := jsonvalue.ParseVector(text, of); ok {
			return v
		}
	case stream.Decimal, stream.Timestamp, stream.Bytes:
		if v, err := jsonvalue.Parse(string(text), of); err == nil {
			return v
		}
	case stream.List, stream.Map:
		if v, err := jsonvalue.Parse(textOf(text), of); err == nil {
			return v
		}
	}
	var s string
	if json.Unmarshal(text, &s) == nil {
		return stream.StringOf(s)
	}
	return stream.StringOf(string(text))
}

// textOf is the text of a feature of text, "" for null.
func textOf(text json.RawMessage) string {
	var s string
	_ = json.Unmarshal(text, &s) // what is no text is none
	return s
}
