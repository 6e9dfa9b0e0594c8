package qdrant

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/qdrant/go-client/qdrant"

	"github.com/freshet-dev/freshet/sinks/jsonvalue"
	"github.com/freshet-dev/freshet/stream"
)

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
		dense := jsonvalue.Floats(v)
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
		h, ok := jsonvalue.Half(x)
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
	a, b := jsonvalue.Floats(written), jsonvalue.Floats(held)
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
