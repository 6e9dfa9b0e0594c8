package lancedb

import (
	"encoding/binary"
	"math/big"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/float16"

	"github.com/freshet-dev/freshet/sinks/jsonvalue"
	"github.com/freshet-dev/freshet/stream"
)

// appendValue appends a value to a column of a type; null where the column can't hold it.
func appendValue(to array.Builder, v stream.Value, of stream.Type) {
	if v.IsNull() || !holds(of, v) {
		to.AppendNull()
		return
	}
	switch b := to.(type) {
	case *array.ListBuilder:
		b.Append(true)
		appendItems(b.ValueBuilder(), v, of)
	case *array.FixedSizeListBuilder:
		b.Append(true)
		appendElements(b.ValueBuilder(), v)
	case *array.StructBuilder:
		appendSparse(b, v)
	default:
		appendScalar(to, v, of)
	}
}

// holds reports whether a column of a type can hold a value that is not null, but for what only its text or digits tell.
func holds(t stream.Type, v stream.Value) bool {
	switch {
	case t.Kind == stream.Vector || t.Kind == stream.MultiVector:
		return v.Kind() == t.Kind && v.Dims() == t.Dims && v.Elem() == t.Element
	case t.Kind == stream.Sparse:
		return v.Kind() == t.Kind
	case isPlainList(t):
		if v.Kind() != stream.List {
			return false
		}
		for i := range v.Len() {
			if item := v.At(i); !item.IsNull() && !holds(*t.Elem, item) {
				return false
			}
		}
		return true
	case scalarType(t) == nil:
		return true
	}
	if v.Kind() == stream.Decimal && t.Kind == stream.Decimal {
		_, fits := digits(v, t.Scale)
		return fits
	}
	return v.Kind() == t.Kind && (v.Kind() != stream.String || utf8.ValidString(v.Str()))
}

// digits is a decimal's unscaled number at a scale; fits is false if it has more digits before or behind the point.
func digits(v stream.Value, scale int) (n decimal128.Num, fits bool) {
	unscaled, own := v.Decimal()
	if own > scale || own < scale-maxDigits {
		return n, false
	}
	unscaled.Mul(unscaled, new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(scale-own)), nil))
	if unscaled.BitLen() > 126 {
		return n, false
	}
	n = decimal128.FromBigInt(unscaled)
	return n, n.FitsInPrecision(maxDigits)
}

func appendScalar(to array.Builder, v stream.Value, of stream.Type) {
	switch b := to.(type) {
	case *array.BooleanBuilder:
		b.Append(v.Bool())
	case *array.Int64Builder:
		b.Append(v.Int())
	case *array.Float64Builder:
		b.Append(v.Double())
	case *array.BinaryBuilder:
		b.AppendString(v.Str())
	case *array.TimestampBuilder:
		b.Append(arrow.Timestamp(v.Time().UnixNano()))
	case *array.Decimal128Builder:
		n, _ := digits(v, of.Scale)
		b.Append(n)
	case *array.StringBuilder:
		appendText(b, v, of)
	default:
		to.AppendNull()
	}
}

// appendText appends a string, or JSON where the column has no type of its own; null for what JSON can't hold.
func appendText(b *array.StringBuilder, v stream.Value, of stream.Type) {
	if of.Kind == stream.String {
		b.Append(v.Str())
		return
	}
	text, err := jsonvalue.Append(nil, v)
	if err != nil {
		b.AppendNull()
		return
	}
	b.Append(string(text))
}

// appendItems appends the items of a list, or the vectors of a multivector.
func appendItems(b array.Builder, v stream.Value, of stream.Type) {
	if parts, ok := b.(*array.FixedSizeListBuilder); ok {
		floats, into := v.Floats(), parts.ValueBuilder().(*array.Float32Builder)
		for len(floats) >= v.Dims() && v.Dims() > 0 {
			parts.Append(true)
			into.AppendValues(floats[:v.Dims()], nil)
			floats = floats[v.Dims():]
		}
		return
	}
	for i := range v.Len() {
		appendValue(b, v.At(i), *of.Elem)
	}
}

func appendElements(to array.Builder, v stream.Value) {
	raw := v.Raw()
	switch b := to.(type) {
	case *array.Float32Builder:
		b.AppendValues(v.Floats(), nil)
	case *array.Float16Builder:
		for i := 0; i < len(raw); i += 2 {
			b.Append(float16.FromBits(binary.LittleEndian.Uint16([]byte(raw[i : i+2]))))
		}
	case *array.Int8Builder:
		for i := range len(raw) {
			b.Append(int8(raw[i]))
		}
	}
}

func appendSparse(b *array.StructBuilder, v stream.Value) {
	indices, values := v.SparseParts()
	b.Append(true)
	first, second := b.FieldBuilder(0).(*array.ListBuilder), b.FieldBuilder(1).(*array.ListBuilder)
	first.Append(true)
	first.ValueBuilder().(*array.Uint32Builder).AppendValues(indices, nil)
	second.Append(true)
	second.ValueBuilder().(*array.Float32Builder).AppendValues(values, nil)
}
