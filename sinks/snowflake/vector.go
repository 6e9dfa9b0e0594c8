package snowflake

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/freshet-dev/freshet/sinks/jsonvalue"
	"github.com/freshet-dev/freshet/stream"
)

// sparseType is how a sparse vector lies in a VARIANT.
var sparseType = stream.MapType(stream.Field{Name: "indices", Type: stream.ListType(stream.TypeInt)},
	stream.Field{Name: "values", Type: stream.VectorType(stream.F32, 0)})

// encodeVector writes JSON: numbers of a dense vector, arrays of them for a multivector, indices and values of a sparse one.
func (c column) encodeVector(v stream.Value) (string, error) {
	t := c.declared
	if t.Kind == stream.Vector && v.Elem() != t.Element || t.Kind != stream.Sparse && t.Dims > 0 && v.Dims() != t.Dims {
		return "", fmt.Errorf("it is declared as %s and got a %s %s of %d dimensions", t, v.Elem(), v.Kind(), v.Dims())
	}
	plain := stream.VectorOf(jsonvalue.Floats(v))
	switch t.Kind {
	case stream.Sparse:
		indices, values := v.SparseParts()
		list := make([]stream.Value, len(indices))
		for i, x := range indices {
			list[i] = stream.IntOf(int64(x))
		}
		plain = stream.MapOf(stream.Entry{Key: "indices", Value: stream.ListOf(list...)}, stream.Entry{Key: "values", Value: stream.VectorOf(values)})
	case stream.MultiVector:
		var list []stream.Value
		for flat := v.Floats(); len(flat) > 0; flat = flat[v.Dims():] {
			list = append(list, stream.VectorOf(flat[:v.Dims()]))
		}
		plain = stream.ListOf(list...)
	}
	if c.isVector() {
		for _, f := range v.Floats() {
			if math.IsNaN(float64(f)) || math.IsInf(float64(f), 0) {
				return "", fmt.Errorf("a VECTOR can't hold NaN or infinity")
			}
		}
	}
	text, err := jsonvalue.Append(nil, plain)
	return string(text), err
}

// decodeVector undoes encodeVector.
func (c column) decodeVector(text string) (stream.Value, error) {
	switch c.declared.Kind {
	case stream.Sparse:
		return decodeSparse(text)
	case stream.MultiVector:
		return decodeMulti(text, c.declared.Dims)
	}
	v, err := jsonvalue.Parse(text, stream.VectorType(stream.F32, 0))
	if err != nil || c.declared.Element == stream.F32 {
		return v, err
	}
	var raw []byte
	for _, f := range v.Floats() {
		if c.declared.Element == stream.I8 {
			raw = append(raw, byte(int8(f)))
			continue
		}
		h, ok := jsonvalue.Half(f)
		if !ok {
			return v, fmt.Errorf("%g is no half-precision number", f)
		}
		raw = binary.LittleEndian.AppendUint16(raw, h)
	}
	return stream.RawVectorOf(c.declared.Element, raw)
}

func decodeSparse(text string) (stream.Value, error) {
	v, err := jsonvalue.Parse(text, sparseType)
	if err != nil {
		return v, err
	}
	list := v.Field("indices")
	indices := make([]uint32, list.Len())
	for i := range indices {
		indices[i] = uint32(list.At(i).Int())
	}
	return stream.SparseOf(indices, v.Field("values").Floats())
}

func decodeMulti(text string, dims int) (stream.Value, error) {
	v, err := jsonvalue.Parse(text, stream.ListType(stream.VectorType(stream.F32, 0)))
	if err != nil {
		return v, err
	}
	var flat []float32
	for i := range v.Len() {
		dims = v.At(i).Dims()
		flat = append(flat, v.At(i).Floats()...)
	}
	return stream.MultiVectorOf(dims, flat)
}
