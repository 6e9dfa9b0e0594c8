package schemas

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"math/bits"
	"time"

	"github.com/freshet-dev/freshet/stream"
)

// Branches of the union in row.avsc, in its order.
const (
	branchNull = iota
	branchBool
	branchLong
	branchDouble
	branchString
	branchBytes
	branchDecimal
	branchTimestamp
	branchList
	branchMap
	branchVector
	branchSparse
	branchMultiVector
)

const maxValueNesting = 256 // what the canonical encoding reads, too

// appendValue writes v as a Value of row.avsc.
func appendValue(b []byte, v stream.Value) ([]byte, error) {
	switch v.Kind() {
	case stream.Null:
		return appendLong(b, branchNull), nil
	case stream.Bool:
		b = appendLong(b, branchBool)
		if v.Bool() {
			return append(b, 1), nil
		}
		return append(b, 0), nil
	case stream.Int:
		return appendLong(appendLong(b, branchLong), v.Int()), nil
	case stream.Double:
		return appendDouble(appendLong(b, branchDouble), v.Double()), nil
	case stream.String:
		return appendText(appendLong(b, branchString), v.Str()), nil
	case stream.Bytes:
		return appendText(appendLong(b, branchBytes), v.Str()), nil
	case stream.Timestamp:
		return appendLong(appendLong(b, branchTimestamp), v.Time().UnixNano()), nil
	case stream.Decimal:
		return appendDecimal(b, v)
	case stream.List:
		return appendList(b, v)
	case stream.Map:
		return appendMap(b, v)
	}
	return appendVector(b, v)
}

func appendDecimal(b []byte, v stream.Value) ([]byte, error) {
	if n, scale, ok := v.Decimal64(); ok && scale >= math.MinInt32 && scale <= math.MaxInt32 {
		b = appendBigEndian(appendLong(b, branchDecimal), n)
		return appendLong(b, int64(scale)), nil
	}
	u, scale := v.Decimal()
	if scale > math.MaxInt32 || scale < math.MinInt32 {
		return b, fmt.Errorf("a decimal of scale %d can't be written", scale)
	}
	b = appendLong(b, branchDecimal)
	return appendLong(appendText(b, string(bigEndian(u))), int64(scale)), nil
}

// appendBigEndian appends the shortest two's complement of n, with its length.
func appendBigEndian(b []byte, n int64) []byte {
	size := bits.Len64(uint64(n^n>>63))/8 + 1
	var all [8]byte
	binary.BigEndian.PutUint64(all[:], uint64(n))
	return append(appendLong(b, int64(size)), all[8-size:]...)
}

// bigEndian is the shortest two's complement of n.
func bigEndian(n *big.Int) []byte {
	if n.Sign() >= 0 {
		return n.FillBytes(make([]byte, n.BitLen()/8+1))
	}
	size := new(big.Int).Not(n).BitLen()/8 + 1
	return new(big.Int).Add(n, new(big.Int).Lsh(big.NewInt(1), uint(8*size))).FillBytes(make([]byte, size))
}

func appendList(b []byte, v stream.Value) ([]byte, error) {
	b = appendLong(b, branchList)
	if n := v.Len(); n > 0 {
		b = appendLong(b, int64(n))
	}
	var err error
	for i := 0; i < v.Len() && err == nil; i++ {
		b, err = appendValue(b, v.At(i))
	}
	return appendLong(b, 0), err
}

func appendMap(b []byte, v stream.Value) ([]byte, error) {
	b = appendLong(b, branchMap)
	if n := v.Len(); n > 0 {
		b = appendLong(b, int64(n))
	}
	var err error
	for i := 0; i < v.Len() && err == nil; i++ {
		b, err = appendValue(appendText(b, v.KeyAt(i)), v.At(i))
	}
	return appendLong(b, 0), err
}

func appendVector(b []byte, v stream.Value) ([]byte, error) {
	switch v.Kind() {
	case stream.Vector:
		b = appendLong(appendLong(b, branchVector), int64(v.Elem()))
		return appendText(appendLong(b, int64(v.Dims())), v.Raw()), nil
	case stream.Sparse:
		indices := v.Raw()[:4*v.Dims()]
		return appendText(appendText(appendLong(b, branchSparse), indices), v.Raw()[len(indices):]), nil
	case stream.MultiVector:
		return appendText(appendLong(appendLong(b, branchMultiVector), int64(v.Dims())), v.Raw()), nil
	}
	return b, fmt.Errorf("a value of kind %s can't be written", v.Kind())
}

func (r *avroReader) value(depth int) stream.Value {
	if depth > maxValueNesting {
		r.fail()
		return stream.Value{}
	}
	switch r.long() {
	case branchNull:
		return stream.Value{}
	case branchBool:
		return stream.BoolOf(r.boolean())
	case branchLong:
		return stream.IntOf(r.long())
	case branchDouble:
		return stream.DoubleOf(r.double())
	case branchString:
		return stream.StringOf(r.text())
	case branchBytes:
		return stream.BytesOf(r.bytes())
	case branchDecimal:
		return stream.DecimalOf(twosComplement(r.bytes()), int(r.long()))
	case branchTimestamp:
		return stream.TimestampOf(time.Unix(0, r.long()))
	case branchList:
		return r.list(depth)
	case branchMap:
		return r.entries(depth)
	case branchVector:
		return r.vector()
	case branchSparse:
		return r.sparse()
	case branchMultiVector:
		return r.multiVector()
	}
	r.fail()
	return stream.Value{}
}

func (r *avroReader) list(depth int) stream.Value {
	items := []stream.Value{}
	r.blocks(func() { items = append(items, r.value(depth+1)) })
	return stream.ListOf(items...)
}

func (r *avroReader) entries(depth int) stream.Value {
	var entries []stream.Entry
	r.blocks(func() { entries = append(entries, stream.Entry{Key: r.text(), Value: r.value(depth + 1)}) })
	return stream.MapOf(entries...)
}

func (r *avroReader) vector() stream.Value {
	elem, dims, raw := r.long(), r.long(), r.bytes()
	if elem < 0 || elem > int64(stream.I8) {
		r.fail()
		return stream.Value{}
	}
	v, err := stream.RawVectorOf(stream.Element(elem), raw)
	return r.checked(v, err, dims)
}

func (r *avroReader) sparse() stream.Value {
	rawIndices, values := r.bytes(), floats32(r.bytes())
	indices := make([]uint32, len(rawIndices)/4)
	for i := range indices {
		indices[i] = binary.LittleEndian.Uint32(rawIndices[4*i:])
	}
	v, err := stream.SparseOf(indices, values)
	return r.checked(v, err, int64(len(indices)))
}

func (r *avroReader) multiVector() stream.Value {
	dims, flat := r.long(), floats32(r.bytes())
	if dims > math.MaxInt32 {
		r.fail()
		return stream.Value{}
	}
	v, err := stream.MultiVectorOf(int(dims), flat)
	return r.checked(v, err, dims)
}

func (r *avroReader) checked(v stream.Value, err error, dims int64) stream.Value {
	if err != nil || int64(v.Dims()) != dims {
		r.fail()
		return stream.Value{}
	}
	return v
}

func floats32(raw []byte) []float32 {
	out := make([]float32, len(raw)/4)
	for i := range out {
		out[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
	}
	return out
}
