package stream

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Element is the element type of a vector.
type Element uint8

// Element types.
const (
	F32 Element = iota
	F16
	I8
)

// Size returns the bytes of one element.
func (e Element) Size() int { return [...]int{4, 2, 1}[e] }

// String names the element type as flow files do.
func (e Element) String() string { return [...]string{"f32", "f16", "i8"}[e] }

// VectorOf returns a dense f32 vector.
func VectorOf(f []float32) Value {
	return Value{kind: Vector, elem: F32, n: uint64(len(f)), s: string(appendFloats(nil, f))}
}

// RawVectorOf returns a dense vector of raw little-endian elements; an error when raw is no whole number of elements.
func RawVectorOf(elem Element, raw []byte) (Value, error) {
	if len(raw)%elem.Size() != 0 {
		return Value{}, fmt.Errorf("vector of %s: %d bytes are no whole number of elements", elem, len(raw))
	}
	return Value{kind: Vector, elem: elem, n: uint64(len(raw) / elem.Size()), s: string(raw)}, nil
}

// MultiVectorOf returns vectors of dims dimensions each, flattened in order.
func MultiVectorOf(dims int, flat []float32) (Value, error) {
	if dims <= 0 || len(flat)%dims != 0 {
		return Value{}, fmt.Errorf("multivector: %d values are no whole number of %d-dimensional vectors", len(flat), dims)
	}
	return Value{kind: MultiVector, n: uint64(dims), s: string(appendFloats(nil, flat))}, nil
}

// SparseOf returns a sparse vector; indices must rise strictly and have as many values.
func SparseOf(indices []uint32, values []float32) (Value, error) {
	if len(indices) != len(values) {
		return Value{}, fmt.Errorf("sparse vector: %d indices but %d values", len(indices), len(values))
	}
	raw := make([]byte, 0, 8*len(indices))
	for i, x := range indices {
		if i > 0 && x <= indices[i-1] {
			return Value{}, fmt.Errorf("sparse vector: index %d after %d: indices must rise", x, indices[i-1])
		}
		raw = binary.LittleEndian.AppendUint32(raw, x)
	}
	return Value{kind: Sparse, n: uint64(len(indices)), s: string(appendFloats(raw, values))}, nil
}

// rawSparse reads what SparseOf wrote.
func rawSparse(raw []byte) (Value, error) {
	n := len(raw) / 8
	if len(raw) != 8*n {
		return Value{}, fmt.Errorf("sparse vector: %d bytes are no whole number of entries", len(raw))
	}
	indices, values := Value{kind: Sparse, n: uint64(n), s: string(raw)}.SparseParts()
	return SparseOf(indices, values)
}

// Dims returns the dimensions of a vector or of each part of a multivector, the entries of a sparse vector, else 0.
func (v Value) Dims() int {
	if v.kind == Vector || v.kind == MultiVector || v.kind == Sparse {
		return int(v.n)
	}
	return 0
}

// Elem returns a vector's element type.
func (v Value) Elem() Element { return v.elem }

// Raw returns a vector's, multivector's or sparse vector's little-endian bytes.
func (v Value) Raw() string {
	if v.Dims() > 0 {
		return v.s
	}
	return ""
}

// Floats returns the elements of an f32 vector or multivector (flattened), else nil.
func (v Value) Floats() []float32 {
	if v.kind == Vector && v.elem == F32 || v.kind == MultiVector {
		return floats(v.s)
	}
	return nil
}

// SparseParts returns a sparse vector's indices and values.
func (v Value) SparseParts() ([]uint32, []float32) {
	if v.kind != Sparse {
		return nil, nil
	}
	idx := make([]uint32, v.n)
	for i := range idx {
		idx[i] = binary.LittleEndian.Uint32([]byte(v.s[4*i : 4*i+4]))
	}
	return idx, floats(v.s[4*len(idx):])
}

func appendFloats(b []byte, f []float32) []byte {
	for _, x := range f {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	return b
}

func floats(raw string) []float32 {
	out := make([]float32, len(raw)/4)
	for i := range out {
		out[i] = math.Float32frombits(binary.LittleEndian.Uint32([]byte(raw[4*i : 4*i+4])))
	}
	return out
}

func (v Value) vectorString() string {
	head := v.Floats()
	if len(head) > 3 {
		head = head[:3]
	}
	return fmt.Sprintf("%s(%s, %d)%v…", v.kind, v.elem, v.Dims(), head)
}
