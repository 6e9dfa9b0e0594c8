package formula

import (
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"github.com/freshet-dev/freshet/stream"
)

// typeTable holds the types of one environment for CEL's checker. A map with known fields is an object type there,
// named by its description, so that the checker finds unknown fields and compares such types by name; vectors are
// opaque types, also named by their description, so that their dimensions survive checking.
type typeTable struct {
	types.Provider
	byName map[string]stream.Type
}

func newTypeTable() *typeTable {
	return &typeTable{Provider: standardTypes(), byName: map[string]stream.Type{}}
}

// standardTypes knows the names of CEL's own types, which formulas may compare with type(x). It is only read.
var standardTypes = sync.OnceValue(func() types.Provider {
	registry, err := types.NewRegistry()
	if err != nil {
		return types.NewEmptyRegistry()
	}
	return registry
})

// celType returns the checker's type for t, and remembers what it stands for. Nullability is not part of it: the
// checker lets null pass (as a dynamic value), and inference keeps track of it.
func (t *typeTable) celType(s stream.Type) *cel.Type {
	switch s.Kind {
	case stream.Bool:
		return cel.BoolType
	case stream.Int:
		return cel.IntType
	case stream.Double:
		return cel.DoubleType
	case stream.Decimal:
		return decimalType
	case stream.String:
		return cel.StringType
	case stream.Bytes:
		return cel.BytesType
	case stream.Timestamp:
		return cel.TimestampType
	case stream.List:
		return cel.ListType(t.element(s))
	case stream.Map:
		return t.mapType(s)
	case stream.Vector, stream.Sparse, stream.MultiVector:
		return types.NewOpaqueType(t.remember(s))
	}
	return cel.DynType
}

func (t *typeTable) element(s stream.Type) *cel.Type {
	if s.Elem == nil {
		return cel.DynType
	}
	return t.celType(*s.Elem)
}

func (t *typeTable) mapType(s stream.Type) *cel.Type {
	if s.Fields == nil {
		return cel.MapType(cel.StringType, t.element(s))
	}
	for _, f := range s.Fields {
		t.celType(f.Type)
	}
	return cel.ObjectType(t.remember(s))
}

func (t *typeTable) remember(s stream.Type) string {
	s.Nullable = false
	name := s.String()
	if _, ok := t.byName[name]; !ok { // after declaration all parts are known: checking only reads
		t.byName[name] = s
	}
	return name
}

// streamType turns the checker's type back. ok is false for types whose values a flow can't hold (durations, types).
func (t *typeTable) streamType(c *cel.Type) (s stream.Type, ok bool) {
	switch c.Kind() {
	case types.BoolKind:
		return stream.TypeBool, true
	case types.IntKind, types.UintKind:
		return stream.TypeInt, true
	case types.DoubleKind:
		return stream.TypeDouble, true
	case types.StringKind:
		return stream.TypeString, true
	case types.BytesKind:
		return stream.TypeBytes, true
	case types.TimestampKind:
		return stream.TypeTimestamp, true
	case types.ListKind:
		elem, ok := t.streamType(c.Parameters()[0])
		return stream.ListType(elem), ok
	case types.MapKind:
		elem, ok := t.streamType(c.Parameters()[1])
		return stream.Type{Kind: stream.Map, Elem: &elem}, ok
	case types.OpaqueKind, types.StructKind:
		if c.TypeName() == decimalType.TypeName() {
			return stream.Type{Kind: stream.Decimal}, true
		}
		s, ok = t.byName[c.TypeName()]
		return s, ok
	case types.DurationKind, types.TypeKind:
		return stream.Type{}, false
	}
	return stream.TypeDynamic, true
}

// FindStructType implements types.Provider for maps with known fields; protobuf messages are not part of formulas.
func (t *typeTable) FindStructType(name string) (*types.Type, bool) {
	s, ok := t.byName[name]
	if !ok || s.Kind != stream.Map {
		return nil, false
	}
	return types.NewTypeTypeWithParam(types.NewObjectType(name)), true
}

// FindStructFieldNames implements types.Provider.
func (t *typeTable) FindStructFieldNames(name string) ([]string, bool) {
	s, ok := t.byName[name]
	names := make([]string, len(s.Fields))
	for i, f := range s.Fields {
		names[i] = f.Name
	}
	return names, ok
}

// FindStructFieldType implements types.Provider.
func (t *typeTable) FindStructFieldType(name, field string) (*types.FieldType, bool) {
	f, ok := t.byName[name].FieldType(field)
	if !ok {
		return nil, false
	}
	return &types.FieldType{Type: t.celType(f)}, true
}

// NewValue implements types.Provider: formulas make maps with {...}, never objects by type name.
func (t *typeTable) NewValue(name string, _ map[string]ref.Val) ref.Val {
	return types.NewErr("can't make a value of type %s", name)
}
