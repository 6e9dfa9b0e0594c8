package stream

import (
	"fmt"
	"math/big"

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
	enc, err := v.MarshalCBOR()
	if err != nil {
		panic(err) // a Value holds nothing that CBOR can't hold
	}
	return append(b, enc...)
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
func (v Value) MarshalCBOR() ([]byte, error) {
	switch v.kind {
	case Null:
		return encMode.Marshal(nil)
	case Bool:
		return encMode.Marshal(v.Bool())
	case Int:
		return encMode.Marshal(v.Int())
	case Double:
		return encMode.Marshal(v.Double())
	case String:
		return encMode.Marshal(v.s)
	case Bytes:
		return encMode.Marshal([]byte(v.s))
	case List:
		return encMode.Marshal(append([]Value{}, v.c.items...)) // never nil, which would be null
	case Map:
		m := make(map[string]Value, len(v.c.keys))
		for i, k := range v.c.keys {
			m[k] = v.c.items[i]
		}
		return encMode.Marshal(m)
	}
	return v.marshalTagged()
}

func (v Value) marshalTagged() ([]byte, error) {
	switch v.kind {
	case Timestamp:
		return encMode.Marshal(cbor.Tag{Number: tagTimestamp, Content: int64(v.n)})
	case Decimal:
		u, scale := v.Decimal()
		return encMode.Marshal(cbor.Tag{Number: tagDecimal, Content: []any{-scale, u}})
	case Vector:
		return encMode.Marshal(cbor.Tag{Number: elemTag[v.elem], Content: []byte(v.s)})
	case Sparse:
		return encMode.Marshal(cbor.Tag{Number: tagSparse, Content: []byte(v.s)})
	case MultiVector:
		count := len(v.s) / 4 / int(v.n)
		flat := cbor.Tag{Number: tagF32, Content: []byte(v.s)}
		return encMode.Marshal(cbor.Tag{Number: tagMulti, Content: []any{[]int{count, int(v.n)}, flat}})
	}
	return nil, fmt.Errorf("encode value: unknown kind %d", v.kind)
}

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
		*v = Value{kind: Sparse, n: uint64(len(raw) / 8), s: string(raw)}
	case tagMulti:
		err = v.unmarshalMulti(t.Content)
	default:
		err = fmt.Errorf("decode value: unknown tag %d", t.Number)
	}
	return err
}

func (v *Value) unmarshalDecimal(b []byte) error {
	var parts struct {
		_        struct{} `cbor:",toarray"`
		Exponent int
		Unscaled big.Int
	}
	err := decMode.Unmarshal(b, &parts)
	*v = DecimalOf(&parts.Unscaled, -parts.Exponent)
	return err
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
	if len(parts.Shape) != 2 || parts.Flat.kind != Vector {
		return fmt.Errorf("decode value: malformed multivector")
	}
	x, err := MultiVectorOf(parts.Shape[1], parts.Flat.Floats())
	*v = x
	return err
}
