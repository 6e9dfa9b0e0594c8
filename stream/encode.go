package stream

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/fxamacker/cbor/v2"
)

// CBOR tags of the canonical encoding. Vectors are RFC 8746 typed arrays, multivectors its multi-dimensional arrays.
const (
	tagDecimal     = 4
	tagMulti       = 40
	tagI8          = 72
	tagF16         = 84
	tagF32         = 85
	tagTimestamp   = 47001 // nanoseconds since 1970 UTC
	tagSparse      = 47002 // little-endian uint32 indices, then as many float32 values
	vectorElemTags = 3
)

var elemTag = [vectorElemTags]uint64{F32: tagF32, F16: tagF16, I8: tagI8}

var encMode, decMode = cborModes()

func cborModes() (cbor.EncMode, cbor.DecMode) {
	enc := cbor.CoreDetEncOptions()
	enc.BigIntConvert = cbor.BigIntConvertShortest
	e, err := enc.EncMode()
	if err != nil {
		panic(err)
	}
	d, err := cbor.DecOptions{MaxNestedLevels: 256, MaxArrayElements: 1 << 27, MaxMapPairs: 1 << 27,
		DupMapKey: cbor.DupMapKeyEnforcedAPF, UTF8: cbor.UTF8DecodeInvalid}.DecMode()
	if err != nil {
		panic(err)
	}
	return e, d
}

// AppendValue appends v's canonical encoding, deterministic CBOR (RFC 8949 §4.2), to b.
func AppendValue(b []byte, v Value) []byte {
	switch v.kind {
	case Null:
		return append(b, cborNull)
	case Bool:
		return append(b, cborFalse+byte(v.n))
	case Int:
		return appendInt(b, int64(v.n))
	case String:
		return append(appendHead(b, majorText, uint64(len(v.s))), v.s...)
	case Bytes:
		return append(appendHead(b, majorBytes, uint64(len(v.s))), v.s...)
	case List:
		return appendItems(b, v.c.items)
	case Map:
		return appendMap(b, v.c)
	}
	return appendTagged(b, v)
}

func appendItems(b []byte, items []Value) []byte {
	b = appendHead(b, majorArray, uint64(len(items)))
	for _, item := range items {
		b = AppendValue(b, item)
	}
	return b
}

// Major types of CBOR, and its simple values.
const (
	majorUint  = 0 << 5
	majorNint  = 1 << 5
	majorBytes = 2 << 5
	majorText  = 3 << 5
	majorArray = 4 << 5
	majorMap   = 5 << 5
	majorTag   = 6 << 5
	cborFalse  = 0xf4
	cborNull   = 0xf6
)

// appendHead appends a major type with its argument in the shortest form.
func appendHead(b []byte, major byte, n uint64) []byte {
	switch {
	case n < 24:
		return append(b, major|byte(n))
	case n <= math.MaxUint8:
		return append(b, major|24, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(b, major|25), uint16(n))
	case n <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(b, major|26), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(b, major|27), n)
}

func appendInt(b []byte, i int64) []byte {
	if i < 0 {
		return appendHead(b, majorNint, uint64(^i))
	}
	return appendHead(b, majorUint, uint64(i))
}

// appendMap orders keys by their encodings, that is by length first.
func appendMap(b []byte, c *compound) []byte {
	b = appendHead(b, majorMap, uint64(len(c.keys)))
	var few [24]int
	order := few[:0]
	for i := range c.keys {
		order = append(order, i)
	}
	slices.SortFunc(order, func(x, y int) int {
		if d := len(c.keys[x]) - len(c.keys[y]); d != 0 {
			return d
		}
		return strings.Compare(c.keys[x], c.keys[y])
	})
	for _, i := range order {
		b = append(appendHead(b, majorText, uint64(len(c.keys[i]))), c.keys[i]...)
		b = AppendValue(b, c.items[i])
	}
	return b
}

func appendTagged(b []byte, v Value) []byte {
	switch v.kind {
	case Timestamp:
		return appendInt(appendHead(b, majorTag, tagTimestamp), int64(v.n))
	case Vector:
		return appendRaw(appendHead(b, majorTag, elemTag[v.elem]), v.s)
	case Sparse:
		return appendRaw(appendHead(b, majorTag, tagSparse), v.s)
	case MultiVector:
		b = append(appendHead(b, majorTag, tagMulti), majorArray|2, majorArray|2)
		b = appendHead(b, majorUint, uint64(len(v.s)/4)/v.n)
		b = appendHead(b, majorUint, v.n)
		return appendRaw(appendHead(b, majorTag, tagF32), v.s)
	}
	return appendNumber(b, v)
}

func appendRaw(b []byte, raw string) []byte {
	return append(appendHead(b, majorBytes, uint64(len(raw))), raw...)
}

func appendNumber(b []byte, v Value) []byte {
	if v.kind == Double {
		return appendFloat(b, v.Double())
	}
	if unscaled, err := strconv.ParseInt(v.s, 10, 64); err == nil {
		b = append(appendHead(b, majorTag, tagDecimal), majorArray|2)
		return appendInt(appendInt(b, -int64(v.n)), unscaled)
	}
	u, scale := v.Decimal()
	enc, err := encMode.Marshal(cbor.Tag{Number: tagDecimal, Content: []any{-scale, u}})
	if err != nil {
		panic(err) // a Value holds nothing that CBOR can't hold
	}
	return append(b, enc...)
}

// appendFloat appends f in the shortest of the three widths that holds it exactly.
func appendFloat(b []byte, f float64) []byte {
	if math.IsNaN(f) {
		return append(b, 0xf9, 0x7e, 0)
	}
	single := float32(f)
	if float64(single) != f {
		return binary.BigEndian.AppendUint64(append(b, 0xfb), math.Float64bits(f))
	}
	if half, ok := halfBits(math.Float32bits(single)); ok {
		return binary.BigEndian.AppendUint16(append(b, 0xf9), half)
	}
	return binary.BigEndian.AppendUint32(append(b, 0xfa), math.Float32bits(single))
}

// halfBits narrows a float32 that is no NaN to a float16, if nothing is lost.
func halfBits(single uint32) (half uint16, exact bool) {
	sign, exponent, mantissa := uint16(single>>16&0x8000), int(single>>23&0xff)-127, single&0x7fffff
	switch {
	case exponent == -127 && mantissa == 0: // zero
		return sign, true
	case exponent == 128: // infinity
		return sign | 0x7c00, true
	case exponent >= -14 && exponent <= 15 && mantissa&0x1fff == 0:
		return sign | uint16(exponent+15)<<10 | uint16(mantissa>>13), true
	case exponent >= -24 && exponent < -14: // subnormal
		shift := 13 + (-14 - exponent)
		full := mantissa | 0x800000
		return sign | uint16(full>>shift), full&(1<<shift-1) == 0
	}
	return 0, false
}

// DecodeValue reads one canonical encoding; trailing bytes are an error.
func DecodeValue(b []byte) (Value, error) {
	var v Value
	err := decMode.Unmarshal(b, &v)
	return v, err
}

// Marshal encodes any state or wire structure of Freshet as deterministic CBOR.
func Marshal(x any) ([]byte, error) { return encMode.Marshal(x) }

// Unmarshal decodes what Marshal wrote.
func Unmarshal(b []byte, x any) error { return decMode.Unmarshal(b, x) }

// MarshalCBOR implements cbor.Marshaler with the canonical encoding.
func (v Value) MarshalCBOR() ([]byte, error) { return AppendValue(nil, v), nil }

// UnmarshalCBOR implements cbor.Unmarshaler.
func (v *Value) UnmarshalCBOR(b []byte) error {
	if len(b) == 0 {
		return fmt.Errorf("decode value: empty")
	}
	var err error
	switch b[0] >> 5 {
	case 0, 1:
		var i int64
		err = decMode.Unmarshal(b, &i)
		*v = IntOf(i)
	case 2:
		var raw []byte
		err = decMode.Unmarshal(b, &raw)
		*v = Value{kind: Bytes, s: string(raw)}
	case 3:
		var s string
		err = decMode.Unmarshal(b, &s)
		*v = StringOf(s)
	case 4:
		var items []Value
		err = decMode.Unmarshal(b, &items)
		*v = ListOf(items...)
	case 5:
		err = v.unmarshalMap(b)
	case 6:
		err = v.unmarshalTagged(b)
	default:
		err = v.unmarshalSimple(b)
	}
	return err
}

func (v *Value) unmarshalSimple(b []byte) error {
	var x any
	if err := decMode.Unmarshal(b, &x); err != nil {
		return err
	}
	switch x := x.(type) {
	case nil:
		*v = Value{}
	case bool:
		*v = BoolOf(x)
	case float64:
		*v = DoubleOf(x)
	default:
		return fmt.Errorf("decode value: unexpected %T", x)
	}
	return nil
}

func (v *Value) unmarshalMap(b []byte) error {
	var m map[string]Value
	if err := decMode.Unmarshal(b, &m); err != nil {
		return err
	}
	entries := make([]Entry, 0, len(m))
	for k, x := range m {
		entries = append(entries, Entry{k, x})
	}
	*v = MapOf(entries...)
	return nil
}

func (v *Value) unmarshalTagged(b []byte) error {
	var t cbor.RawTag
	err := decMode.Unmarshal(b, &t)
	if err != nil {
		return err
	}
	switch t.Number {
	case tagTimestamp:
		var ns int64
		err = decMode.Unmarshal(t.Content, &ns)
		*v = Value{kind: Timestamp, n: uint64(ns)}
	case tagDecimal:
		err = v.unmarshalDecimal(t.Content)
	case tagF32, tagF16, tagI8:
		err = v.unmarshalVector(t)
	case tagSparse:
		var raw []byte
		err = decMode.Unmarshal(t.Content, &raw)
		if err == nil {
			*v, err = rawSparse(raw)
		}
	case tagMulti:
		err = v.unmarshalMulti(t.Content)
	default:
		err = fmt.Errorf("decode value: unknown tag %d", t.Number)
	}
	return err
}

// maxExponent bounds decimals, whose text has as many digits.
const maxExponent = 1 << 20

func (v *Value) unmarshalDecimal(b []byte) error {
	var parts struct {
		_        struct{} `cbor:",toarray"`
		Exponent int
		Unscaled big.Int
	}
	if err := decMode.Unmarshal(b, &parts); err != nil {
		return err
	}
	if parts.Exponent > maxExponent || parts.Exponent < -maxExponent {
		return fmt.Errorf("decode value: a decimal with exponent %d", parts.Exponent)
	}
	*v = DecimalOf(&parts.Unscaled, -parts.Exponent)
	return nil
}

func (v *Value) unmarshalVector(t cbor.RawTag) error {
	var raw []byte
	if err := decMode.Unmarshal(t.Content, &raw); err != nil {
		return err
	}
	elem := F32
	for e, tag := range elemTag {
		if tag == t.Number {
			elem = Element(e)
		}
	}
	x, err := RawVectorOf(elem, raw)
	*v = x
	return err
}

func (v *Value) unmarshalMulti(b []byte) error {
	var parts struct {
		_     struct{} `cbor:",toarray"`
		Shape []int
		Flat  Value
	}
	if err := decMode.Unmarshal(b, &parts); err != nil {
		return err
	}
	if f := parts.Flat; len(parts.Shape) != 2 || f.kind != Vector || f.elem != F32 || parts.Shape[1] <= 0 ||
		int(f.n)%parts.Shape[1] != 0 || parts.Shape[0] != int(f.n)/parts.Shape[1] {
		return fmt.Errorf("decode value: malformed multivector")
	}
	x, err := MultiVectorOf(parts.Shape[1], parts.Flat.Floats())
	*v = x
	return err
}
