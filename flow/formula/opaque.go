package formula

import (
	"fmt"
	"reflect"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"github.com/freshet-dev/freshet/stream"
)

// opaque is a vector of some kind: formulas hand it on and compare it, and no more.
type opaque struct{ v stream.Value }

var opaqueTypes = map[stream.Kind]*types.Type{
	stream.Vector:      types.NewOpaqueType("vector"),
	stream.Sparse:      types.NewOpaqueType("sparse"),
	stream.MultiVector: types.NewOpaqueType("multivector"),
}

func (o opaque) streamValue() stream.Value { return o.v }

// Type implements ref.Val.
func (o opaque) Type() ref.Type { return opaqueTypes[o.v.Kind()] }

// Value implements ref.Val.
func (o opaque) Value() any { return o.v }

// Equal implements ref.Val.
func (o opaque) Equal(other ref.Val) ref.Val {
	x, ok := other.(opaque)
	return types.Bool(ok && o.v.Equal(x.v))
}

// ConvertToType implements ref.Val.
func (o opaque) ConvertToType(t ref.Type) ref.Val {
	if t == types.TypeType {
		return opaqueTypes[o.v.Kind()]
	}
	return types.NewErr("a %s can't be converted to %s", o.v.Kind(), t.TypeName())
}

// ConvertToNative implements ref.Val.
func (o opaque) ConvertToNative(t reflect.Type) (any, error) {
	return nil, fmt.Errorf("a %s can't be converted to %s", o.v.Kind(), t)
}
