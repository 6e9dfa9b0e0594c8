package opensearch

import (
	"bytes"
	"strconv"

	"github.com/freshet-dev/freshet/sinks/jsonvalue"
	"github.com/freshet-dev/freshet/stream"
)

// jsonOf returns a value as it stands in a document, for people and filters. It is nil for null, and for what JSON or the
// index of vectors can't hold.
func (t *table) jsonOf(c stream.Field, v stream.Value) []byte {
	if v.IsNull() {
		return nil
	}
	if v.Kind() == stream.Vector && c.Type.Kind == stream.Vector {
		floats := jsonvalue.Floats(v)
		if !t.comparable(floats) {
			return nil
		}
		return appendVector(nil, floats)
	}
	text, err := jsonvalue.Append(nil, v)
	if err != nil {
		return nil
	}
	return text
}

func appendVector(b []byte, floats []float32) []byte {
	b = append(b, '[')
	for i, f := range floats {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendFloat(b, float64(f), 'g', -1, 32)
	}
	return append(b, ']')
}

// The bounds of a vector's squared length, within which single precision can work.
const shortest, longest = 1e-30, 1e37

// comparable reports whether the index of vectors takes one, and can compare it with others.
func (t *table) comparable(floats []float32) bool {
	square := 0.0
	for _, f := range floats {
		square += float64(f) * float64(f)
	}
	return square <= longest && (square >= shortest || t.space != cosine) // false for NaN
}

// valueOf undoes jsonOf for a column, as far as the text tells. Text of another form is taken as it stands.
func valueOf(text []byte, of stream.Type) stream.Value {
	if len(text) == 0 {
		return stream.Value{}
	}
	if of.Kind == stream.Vector {
		if v, ok := jsonvalue.ParseVector(text, of); ok {
			return v
		}
		of = stream.TypeDynamic
	}
	v, err := jsonvalue.Parse(string(text), of)
	if err != nil {
		v, err = jsonvalue.Parse(string(text), stream.TypeDynamic)
	}
	if err != nil {
		return stream.StringOf(string(text))
	}
	return v
}

// agree reports whether two texts say the same, however they are written: else somebody changed one by hand.
func agree(a, b []byte) bool {
	return bytes.Equal(a, b) || len(a) > 0 && len(b) > 0 && valueOf(a, stream.TypeDynamic).Equal(valueOf(b, stream.TypeDynamic))
}
