package formula

import (
	"fmt"
	"math"
	"time"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"github.com/freshet-dev/freshet/stream"
)

// adapter gives the library our values in place of reflected Go ones.
type adapter struct{}

// NativeToValue implements types.Adapter.
func (adapter) NativeToValue(x any) ref.Val {
	switch x := x.(type) {
	case ref.Val:
		return x
	case stream.Value:
		return adapt(x)
	case []ref.Val:
		return types.NewRefValList(adapter{}, x)
	}
	return types.DefaultTypeAdapter.NativeToValue(x)
}

// adapt makes v readable for formulas without copying its content; lists and maps adapt what is read of them.
func adapt(v stream.Value) ref.Val {
	switch v.Kind() {
	case stream.Bool:
		return types.Bool(v.Bool())
	case stream.Int:
		return types.Int(v.Int())
	case stream.Double:
		return types.Double(v.Double())
	case stream.String:
		return types.String(v.Str())
	case stream.Bytes:
		return types.Bytes(v.Str())
	case stream.Timestamp:
		return types.Timestamp{Time: v.Time()}
	case stream.List:
		return list{v}
	case stream.Map:
		return mapping{v}
	case stream.Decimal:
		return decimal{v}
	case stream.Vector, stream.Sparse, stream.MultiVector:
		return opaque{v}
	}
	return types.NullValue
}

// native turns the result of a formula back into a value.
func native(x ref.Val) (stream.Value, error) {
	switch x := x.(type) {
	case types.Null:
		return stream.Value{}, nil
	case types.Bool:
		return stream.BoolOf(bool(x)), nil
	case types.Int:
		return stream.IntOf(int64(x)), nil
	case types.Uint:
		return nativeUint(x)
	case types.Double:
		return stream.DoubleOf(float64(x)), nil
	case types.String:
		return stream.StringOf(string(x)), nil
	case types.Bytes:
		return stream.BytesOf(x), nil
	case types.Timestamp:
		return nativeTime(x.Time)
	case interface{ streamValue() stream.Value }:
		return x.streamValue(), nil
	case traits.Mapper:
		return nativeMap(x)
	case traits.Lister:
		return nativeList(x)
	}
	return stream.Value{}, fmt.Errorf("the result is a %s, which is no value of a flow: convert it, for example with string()",
		typeName(x))
}

func nativeUint(u types.Uint) (stream.Value, error) {
	if u > math.MaxInt64 {
		return stream.Value{}, fmt.Errorf("the unsigned number %d does not fit in an int", uint64(u))
	}
	return stream.IntOf(int64(u)), nil
}

// Instants that fit in 64-bit nanoseconds since 1970.
var (
	firstInstant = time.Unix(0, math.MinInt64)
	lastInstant  = time.Unix(0, math.MaxInt64)
)

func nativeTime(t time.Time) (stream.Value, error) {
	if t.Before(firstInstant) || t.After(lastInstant) {
		return stream.Value{}, fmt.Errorf("the timestamp %s is outside the years 1678 to 2262", t.Format(time.RFC3339))
	}
	return stream.TimestampOf(t), nil
}

func nativeList(l traits.Lister) (stream.Value, error) {
	n := int(l.Size().(types.Int))
	items := make([]stream.Value, n)
	for i := range items {
		var err error
		if items[i], err = native(l.Get(types.Int(i))); err != nil {
			return stream.Value{}, err
		}
	}
	return stream.ListOf(items...), nil
}

func nativeMap(m traits.Mapper) (stream.Value, error) {
	var entries []stream.Entry
	for it := m.Iterator(); it.HasNext() == types.True; {
		key := it.Next()
		name, ok := key.(types.String)
		if !ok {
			return stream.Value{}, fmt.Errorf("a map in the result has the key %v: keys must be strings", key.Value())
		}
		v, err := native(m.Get(key))
		if err != nil {
			return stream.Value{}, err
		}
		entries = append(entries, stream.Entry{Key: string(name), Value: v})
	}
	return stream.MapOf(entries...), nil
}

// typeName names a value's type as flow files do.
func typeName(x ref.Val) string {
	switch x.Type() {
	case types.NullType:
		return "null"
	case types.TimestampType:
		return "timestamp"
	case types.DurationType:
		return "duration"
	}
	return x.Type().TypeName()
}
