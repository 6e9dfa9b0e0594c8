package qdrant

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/qdrant/go-client/qdrant"

	"github.com/freshet-dev/freshet/stream"
)

// floats returns the elements of a dense vector or a multivector.
func floats(v stream.Value) []float32 {
	raw := v.Raw()
	switch {
	case v.Kind() != stream.Vector || v.Elem() == stream.F32:
		return v.Floats()
	case v.Elem() == stream.I8:
		out := make([]float32, len(raw))
		for i := range out {
			out[i] = float32(int8(raw[i]))
		}
		return out
	}
	out := make([]float32, len(raw)/2)
	for i := range out {
		out[i] = single(binary.LittleEndian.Uint16([]byte(raw[2*i : 2*i+2])))
	}
	return out
}

// single widens a half-precision float, exactly: signalling NaNs too, which github.com/x448/float16 makes quiet.
func single(half uint16) float32 {
	sign, exponent, fraction := uint32(half>>15)<<31, uint32(half>>10&0x1f), uint32(half&0x3ff)
	switch exponent {
	case 0:
		f := float32(fraction) / (1 << 24)
		return math.Float32frombits(math.Float32bits(f) | sign)
	case 0x1f:
		return math.Float32frombits(sign | 0xff<<23 | fraction<<13)
	}
	return math.Float32frombits(sign | (exponent+112)<<23 | fraction<<13)
}

// half narrows a float that was a half before; ok is false for any other.
func half(f float32) (h uint16, ok bool) {
	bits := math.Float32bits(f)
	sign, exponent, fraction := uint16(bits>>16&0x8000), int(bits>>23&0xff)-112, bits&0x7fffff
	switch {
	case exponent == 0xff-112:
		h = sign | 0x7c00 | uint16(fraction>>13)
	case exponent >= 31:
		return 0, false
	case exponent > 0:
		h = sign | uint16(exponent)<<10 | uint16(fraction>>13)
	default:
		h = sign | uint16(math.Abs(float64(f))*(1<<24))
	}
	return h, math.Float32bits(single(h)) == bits
}

// vectorOf returns a column's value as a named vector; nil for none. exact is false when a reader gets another value back.
func (t *table) vectorOf(c stream.Field, v stream.Value) (out *qdrant.Vector, exact bool, err error) {
	if v.IsNull() {
		return nil, true, nil
	}
	if v.Kind() != c.Type.Kind || v.Elem() != c.Type.Element || v.Kind() != stream.Sparse && v.Dims() != c.Type.Dims {
		return nil, false, fmt.Errorf("a %s of %s with %d dimensions in a column of %s", v.Kind(), v.Elem(), v.Dims(), c.Type)
	}
	switch v.Kind() {
	case stream.Vector:
		dense := floats(v)
		return qdrant.NewVectorDense(dense), t.keeps(dense), nil
	case stream.Sparse:
		indices, values := v.SparseParts()
		if len(indices) == 0 {
			return nil, false, nil
		}
		return qdrant.NewVectorSparse(indices, values), true, nil
	}
	rows := parts(v.Floats(), v.Dims())
	if len(rows) == 0 {
		return nil, false, nil
	}
	kept := true
	for _, row := range rows {
		kept = kept && t.keeps(row)
	}
	return qdrant.NewVectorMulti(rows), kept, nil
}

// keeps reports whether the server holds a vector as it is. For cosine distance it divides by the length, unless the square of
// that is within 1e-6 of 1, or zero; half of it leaves room for the server's sum, which is in single precision.
func (t *table) keeps(v []float32) bool {
	const near = 5e-7
	if t.distance != qdrant.Distance_Cosine {
		return true
	}
	square := squareOf(v)
	return square == 0 || math.Abs(square-1) <= near
}

func squareOf(v []float32) (square float64) {
	for _, x := range v {
		square += float64(x) * float64(x)
	}
	return square
}

func parts(flat []float32, dims int) (rows [][]float32) {
	for ; len(flat) >= dims && dims > 0; flat = flat[dims:] {
		rows = append(rows, flat[:dims])
	}
	return rows
}

// readVector undoes vectorOf.
func readVector(c stream.Field, v *qdrant.VectorOutput) (stream.Value, error) {
	switch {
	case v == nil:
		return stream.Value{}, nil
	case c.Type.Kind == stream.Sparse && v.GetSparse() != nil:
		return stream.SparseOf(v.GetSparse().GetIndices(), v.GetSparse().GetValues())
	case c.Type.Kind == stream.MultiVector && v.GetMultiDense() != nil:
		var flat []float32
		for _, row := range v.GetMultiDense().GetVectors() {
			flat = append(flat, row.GetData()...)
		}
		return stream.MultiVectorOf(c.Type.Dims, flat)
	case c.Type.Kind == stream.Vector && v.GetDense() != nil:
		return readDense(c, v.GetDense().GetData())
	}
	return stream.Value{}, fmt.Errorf("the point holds another kind of vector than a %s; rebuild the target to repair it", c.Type)
}

func readDense(c stream.Field, f []float32) (stream.Value, error) {
	if c.Type.Element == stream.F32 {
		return stream.VectorOf(f), nil
	}
	raw := make([]byte, 0, 2*len(f))
	for _, x := range f {
		h, ok := half(x)
		if !ok {
			return stream.VectorOf(f), nil // changed by hand, to what the column can't hold: a difference
		}
		raw = binary.LittleEndian.AppendUint16(raw, h)
	}
	return stream.RawVectorOf(stream.F16, raw)
}

// sameVector reports whether a server may have made held of written: normalised for cosine distance, and rounded.
func (t *table) sameVector(written, held stream.Value) bool {
	if held.IsNull() || written.Kind() != held.Kind() || written.Kind() == stream.Sparse {
		return held.IsNull() == (written.Len() == 0 && len(written.Raw()) == 0)
	}
	a, b := floats(written), floats(held)
	if len(a) != len(b) {
		return false
	}
	for dims := written.Dims(); len(a) > 0 && dims > 0; a, b = a[dims:], b[dims:] {
		if !normalised(a[:dims], b[:dims]) {
			return false
		}
	}
	return true
}

// tolerance is far above what rounding to half precision does to a normalised element.
const tolerance = 2e-3

// normalised reports whether b is a, or a with length 1. Of a vector whose length single precision can't hold, the server
// makes something else.
func normalised(a, b []float32) bool {
	square := squareOf(a)
	if math.IsNaN(square) || square > math.MaxFloat32 {
		return true
	}
	length, asIs, unit := math.Sqrt(square), true, true
	for i := range a {
		x, y := float64(a[i]), float64(b[i])
		asIs = asIs && math.Abs(x-y) <= tolerance
		unit = unit && math.Abs(x/length-y) <= tolerance
	}
	return asIs || unit
}
