package formula

import (
	"reflect"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"github.com/freshet-dev/freshet/stream"
)

// list is a stream list that adapts its items when they are read.
type list struct{ v stream.Value }

var _ traits.Lister = list{}

func (l list) streamValue() stream.Value { return l.v }

// Type implements ref.Val.
func (l list) Type() ref.Type { return types.ListType }

// Value implements ref.Val.
func (l list) Value() any { return l.v }

// ConvertToNative implements ref.Val.
func (l list) ConvertToNative(t reflect.Type) (any, error) { return l.expanded().ConvertToNative(t) }

// ConvertToType implements ref.Val.
func (l list) ConvertToType(t ref.Type) ref.Val {
	switch t {
	case types.ListType:
		return l
	case types.TypeType:
		return types.ListType
	}
	return types.NewErr("a list can't be converted to %s", t.TypeName())
}

// Equal implements ref.Val.
func (l list) Equal(other ref.Val) ref.Val {
	o, ok := other.(traits.Lister)
	if !ok || o.Size() != l.Size() {
		return types.False
	}
	for i := range l.v.Len() {
		if eq := types.Equal(adapt(l.v.At(i)), o.Get(types.Int(i))); eq != types.True {
			return eq
		}
	}
	return types.True
}

// Add implements traits.Adder.
func (l list) Add(other ref.Val) ref.Val { return l.expanded().Add(other) }

// Contains implements traits.Container.
func (l list) Contains(x ref.Val) ref.Val {
	for i := range l.v.Len() {
		if types.Equal(x, adapt(l.v.At(i))) == types.True {
			return types.True
		}
	}
	return types.False
}

// Get implements traits.Indexer.
func (l list) Get(i ref.Val) ref.Val {
	n, err := types.GetOrError(i)
	if err != nil {
		return types.WrapErr(err)
	}
	if n < 0 || n >= l.v.Len() {
		return types.NewErr("list index %d is out of range: the list has %d items", n, l.v.Len())
	}
	return adapt(l.v.At(n))
}

// Size implements traits.Sizer.
func (l list) Size() ref.Val { return types.Int(l.v.Len()) }

// Iterator implements traits.Iterable.
func (l list) Iterator() traits.Iterator {
	return &iterator{n: l.v.Len(), at: func(i int) ref.Val { return adapt(l.v.At(i)) }}
}

func (l list) expanded() traits.Lister {
	items := make([]ref.Val, l.v.Len())
	for i := range items {
		items[i] = adapt(l.v.At(i))
	}
	return types.NewRefValList(adapter{}, items)
}

// iterator walks n items in order.
type iterator struct {
	next, n int
	at      func(int) ref.Val
}

var _ traits.Iterator = (*iterator)(nil)

// HasNext implements traits.Iterator.
func (it *iterator) HasNext() ref.Val { return types.Bool(it.next < it.n) }

// Next implements traits.Iterator.
func (it *iterator) Next() ref.Val {
	if it.next >= it.n {
		return nil
	}
	it.next++
	return it.at(it.next - 1)
}

// Type implements ref.Val.
func (it *iterator) Type() ref.Type { return types.IteratorType }

// Value implements ref.Val.
func (it *iterator) Value() any { return nil }

// Equal implements ref.Val.
func (it *iterator) Equal(ref.Val) ref.Val { return types.False }

// ConvertToType implements ref.Val.
func (it *iterator) ConvertToType(ref.Type) ref.Val {
	return types.NewErr("an iterator can't be converted")
}

// ConvertToNative implements ref.Val.
func (it *iterator) ConvertToNative(reflect.Type) (any, error) {
	return nil, stream.Errorf(stream.Internal, "convert an iterator", "iterators have no native form")
}
