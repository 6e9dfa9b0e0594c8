package opensearch

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"math"
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
		if v, ok := vectorOf(text, of); ok {
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

func vectorOf(text []byte, of stream.Type) (v stream.Value, ok bool) {
	var numbers []json.Number
	if json.Unmarshal(text, &numbers) != nil {
		return v, false
	}
	var raw []byte
	for _, n := range numbers {
		wide, err := strconv.ParseFloat(n.String(), 32)
		f := float32(wide)
		if err != nil {
			return v, false
		}
		switch of.Element {
		case stream.I8:
			if f != float32(int8(f)) {
				return v, false
			}
			raw = append(raw, byte(int8(f)))
		case stream.F16:
			h, ok := jsonvalue.Half(f)
			if !ok {
				return v, false
			}
			raw = binary.LittleEndian.AppendUint16(raw, h)
		default:
			raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(f))
		}
	}
	v, err := stream.RawVectorOf(of.Element, raw)
	return v, err == nil
}

// same reports whether two values are equal to the last bit.
func same(a, b stream.Value) bool { return stream.FingerprintOf(a) == stream.FingerprintOf(b) }

// agree reports whether two texts say the same, however they are written: else somebody changed one by hand.
func agree(a, b []byte) bool {
	return bytes.Equal(a, b) || len(a) > 0 && len(b) > 0 && same(valueOf(a, stream.TypeDynamic), valueOf(b, stream.TypeDynamic))
}
