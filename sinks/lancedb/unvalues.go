package lancedb

import (
	"encoding/binary"
	"math"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/freshet-dev/freshet/sinks/jsonvalue"
	"github.com/freshet-dev/freshet/stream"
)

// valueAt undoes appendValue, as far as the column tells. What is of another type than the column should be, is null.
func valueAt(from arrow.Array, i int, of stream.Type) stream.Value {
	if from == nil || from.IsNull(i) {
		return stream.Value{}
	}
	switch a := from.(type) {
	case *array.Boolean:
		return stream.BoolOf(a.Value(i))
	case *array.Int64:
		return stream.IntOf(a.Value(i))
	case *array.Float64:
		return stream.DoubleOf(a.Value(i))
	case *array.Binary:
		return stream.BytesOf(a.Value(i))
	case *array.Timestamp:
		return timestampAt(a, i)
	case *array.Decimal128:
		return stream.DecimalOf(a.Value(i).BigInt(), int(a.DataType().(*arrow.Decimal128Type).Scale))
	case *array.String:
		return textOf(a.Value(i), of)
	case *array.List:
		return itemsAt(a, i, of)
	case *array.FixedSizeList:
		return vectorAt(a, i, of)
	case *array.Struct:
		return sparseAt(a, i)
	}
	return stream.Value{}
}

func timestampAt(a *array.Timestamp, i int) stream.Value {
	unit := a.DataType().(*arrow.TimestampType).Unit
	return stream.TimestampOf(a.Value(i).ToTime(unit))
}

// textOf reads a string, or the JSON that stands where a type has no column of its own. Text of another form is taken as it stands.
func textOf(text string, of stream.Type) stream.Value {
	if of.Kind == stream.String {
		return stream.StringOf(text)
	}
	v, err := jsonvalue.Parse(text, of)
	if err != nil {
		v, err = jsonvalue.Parse(text, stream.TypeDynamic)
	}
	if err != nil {
		return stream.StringOf(text)
	}
	return v
}

// itemsAt reads a list, or a multivector.
func itemsAt(a *array.List, i int, of stream.Type) stream.Value {
	from, to := a.ValueOffsets(i)
	if of.Kind == stream.MultiVector {
		parts, ok := a.ListValues().(*array.FixedSizeList)
		if !ok {
			return stream.Value{}
		}
		var raw []byte
		for n := from; n < to; n++ {
			raw = appendRaw(raw, parts, int(n))
		}
		return rawVector(raw, of)
	}
	if of.Elem == nil {
		return stream.Value{}
	}
	items := make([]stream.Value, 0, to-from)
	for n := from; n < to; n++ {
		items = append(items, valueAt(a.ListValues(), int(n), *of.Elem))
	}
	return stream.ListOf(items...)
}

func vectorAt(a *array.FixedSizeList, i int, of stream.Type) stream.Value {
	return rawVector(appendRaw(nil, a, i), of)
}

// rawVector is null where the elements make no vector of the type.
func rawVector(raw []byte, of stream.Type) stream.Value {
	if !of.Kind.IsVector() {
		return stream.Value{}
	}
	v, err := jsonvalue.RawVector(raw, of)
	if err != nil {
		return stream.Value{}
	}
	return v
}

// appendRaw appends the little-endian elements of a fixed-size list.
func appendRaw(raw []byte, a *array.FixedSizeList, i int) []byte {
	from, to := a.ValueOffsets(i)
	switch values := a.ListValues().(type) {
	case *array.Float32:
		for n := from; n < to; n++ {
			raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(values.Value(int(n))))
		}
	case *array.Float16:
		for n := from; n < to; n++ {
			raw = binary.LittleEndian.AppendUint16(raw, values.Value(int(n)).Uint16())
		}
	case *array.Int8:
		for n := from; n < to; n++ {
			raw = append(raw, byte(values.Value(int(n))))
		}
	}
	return raw
}

func sparseAt(a *array.Struct, i int) stream.Value {
	if a.NumField() != 2 {
		return stream.Value{}
	}
	indices, ok := a.Field(0).(*array.List)
	values, also := a.Field(1).(*array.List)
	if !ok || !also {
		return stream.Value{}
	}
	first, ok := indices.ListValues().(*array.Uint32)
	second, also := values.ListValues().(*array.Float32)
	if !ok || !also {
		return stream.Value{}
	}
	from, to := indices.ValueOffsets(i)
	start, end := values.ValueOffsets(i)
	v, err := stream.SparseOf(first.Uint32Values()[from:to], second.Float32Values()[start:end])
	if err != nil {
		return stream.Value{}
	}
	return v
}
