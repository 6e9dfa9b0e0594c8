package formula

import (
	"reflect"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"github.com/freshet-dev/freshet/stream"
)

// mapping is a stream map that adapts its values when they are read, and iterates in key order.
type mapping struct{ v stream.Value }

var _ traits.Mapper = mapping{}

func (m mapping) streamValue() stream.Value { return m.v }

// Type implements ref.Val.
func (m mapping) Type() ref.Type { return types.MapType }

// Value implements ref.Val.
func (m mapping) Value() any { return m.v }

// ConvertToNative implements ref.Val.
func (m mapping) ConvertToNative(t reflect.Type) (any, error) {
	entries := make(map[ref.Val]ref.Val, m.v.Len())
	for i := range m.v.Len() {
		entries[types.String(m.v.KeyAt(i))] = adapt(m.v.At(i))
	}
	return types.NewRefValMap(adapter{}, entries).ConvertToNative(t)
}

// ConvertToType implements ref.Val.
func (m mapping) ConvertToType(t ref.Type) ref.Val {
	switch t {
	case types.MapType:
		return m
	case types.TypeType:
		return types.MapType
	}
	return types.NewErr("a map can't be converted to %s", t.TypeName())
}

// Equal implements ref.Val.
func (m mapping) Equal(other ref.Val) ref.Val {
	o, ok := other.(traits.Mapper)
	if !ok || o.Size() != m.Size() {
		return types.False
	}
	for i := range m.v.Len() {
		x, found := o.Find(types.String(m.v.KeyAt(i)))
		if !found {
			return types.False
		}
		if eq := types.Equal(adapt(m.v.At(i)), x); eq != types.True {
			return eq
		}
	}
	return types.True
}

// Contains implements traits.Container.
func (m mapping) Contains(key ref.Val) ref.Val {
	_, found := m.Find(key)
	return types.Bool(found)
}

// Get implements traits.Indexer.
func (m mapping) Get(key ref.Val) ref.Val {
	if x, found := m.Find(key); found {
		return x
	}
	return types.NullValue
}

// Find implements traits.Mapper.
func (m mapping) Find(key ref.Val) (ref.Val, bool) {
	name, ok := key.(types.String)
	if !ok {
		return nil, false
	}
	x, found := m.v.Get(string(name))
	if !found {
		return nil, false
	}
	return adapt(x), true
}

// Size implements traits.Sizer.
func (m mapping) Size() ref.Val { return types.Int(m.v.Len()) }

// Iterator implements traits.Iterable: keys in order.
func (m mapping) Iterator() traits.Iterator {
	return &iterator{n: m.v.Len(), at: func(i int) ref.Val { return types.String(m.v.KeyAt(i)) }}
}
