package redis

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/freshet-dev/freshet/stream"
)

// appendJSON appends a value as it stands inside a list or a map: what JSON has no kind for is a string, bytes in base64; vectors are lists, sparse
// ones maps by index. Doubles that are whole numbers have a point.
func appendJSON(b []byte, v stream.Value) []byte {
	switch v.Kind() {
	case stream.Null, stream.Bool, stream.Int:
		return append(b, v.String()...)
	case stream.Double:
		return appendDouble(b, v.Double())
	case stream.Bytes:
		return appendText(b, base64.StdEncoding.EncodeToString([]byte(v.Str())))
	case stream.List:
		return appendList(b, v.Len(), func(b []byte, i int) []byte { return appendJSON(b, v.At(i)) })
	case stream.Map:
		return appendMap(b, v)
	case stream.Vector:
		return appendVector(b, v)
	case stream.MultiVector:
		flat, dims := v.Floats(), max(v.Dims(), 1)
		return appendList(b, len(flat)/dims, func(b []byte, i int) []byte { return appendFloats(b, flat[i*dims:(i+1)*dims]) })
	case stream.Sparse:
		return appendSparse(b, v)
	}
	return appendText(b, textOf(v)) // string, decimal, timestamp
}

func appendList(b []byte, n int, item func(b []byte, i int) []byte) []byte {
	b = append(b, '[')
	for i := range n {
		if i > 0 {
			b = append(b, ',')
		}
		b = item(b, i)
	}
	return append(b, ']')
}

func appendMap(b []byte, v stream.Value) []byte {
	b = append(b, '{')
	for i := range v.Len() {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendJSON(append(appendText(b, v.KeyAt(i)), ':'), v.At(i))
	}
	return append(b, '}')
}

func appendVector(b []byte, v stream.Value) []byte {
	if v.Elem() == stream.F32 {
		return appendFloats(b, v.Floats())
	}
	return appendText(b, base64.StdEncoding.EncodeToString([]byte(v.Raw())))
}

func appendSparse(b []byte, v stream.Value) []byte {
	indices, values := v.SparseParts()
	b = append(b, '{')
	for i, index := range indices {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, fmt.Sprintf(`"%d":`, index)...)
		b = appendFloat(b, values[i])
	}
	return append(b, '}')
}

func appendFloats(b []byte, f []float32) []byte {
	return appendList(b, len(f), func(b []byte, i int) []byte { return appendFloat(b, f[i]) })
}

func appendFloat(b []byte, f float32) []byte {
	if wide := float64(f); math.IsNaN(wide) || math.IsInf(wide, 0) {
		return appendText(b, doubleText(wide))
	}
	return strconv.AppendFloat(b, float64(f), 'g', -1, 32)
}

func appendDouble(b []byte, f float64) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return appendText(b, doubleText(f))
	}
	text := strconv.FormatFloat(f, 'g', -1, 64)
	if !strings.ContainsAny(text, ".e") {
		text += ".0"
	}
	return append(b, text...)
}

func appendText(b []byte, s string) []byte {
	quoted, _ := json.Marshal(s) // of a string it can't fail
	return append(b, quoted...)
}

// parseJSON reads one value: a number with a point or an exponent is a double.
func parseJSON(text string) (stream.Value, error) {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var x any
	if err := d.Decode(&x); err != nil {
		return stream.Value{}, err
	}
	if _, err := d.Token(); err != io.EOF {
		return stream.Value{}, fmt.Errorf("more than one value")
	}
	return fromJSON(x)
}

func fromJSON(x any) (v stream.Value, err error) {
	switch x := x.(type) {
	case bool:
		return stream.BoolOf(x), nil
	case string:
		return stream.StringOf(x), nil
	case json.Number:
		if n, err := x.Int64(); err == nil {
			return stream.IntOf(n), nil
		}
		f, err := x.Float64()
		return stream.DoubleOf(f), err
	case []any:
		items := make([]stream.Value, len(x))
		for i, item := range x {
			if items[i], err = fromJSON(item); err != nil {
				return v, err
			}
		}
		return stream.ListOf(items...), nil
	case map[string]any:
		entries := make([]stream.Entry, 0, len(x))
		for key, item := range x {
			if v, err = fromJSON(item); err != nil {
				return v, err
			}
			entries = append(entries, stream.Entry{Key: key, Value: v})
		}
		return stream.MapOf(entries...), nil
	}
	return v, nil
}
