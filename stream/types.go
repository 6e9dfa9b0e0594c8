package stream

import (
	"fmt"
	"strings"
)

// Type is the static type of a value in a flow. The zero Type is Null. Types are compared with Equal.
type Type struct {
	Kind     Kind
	Nullable bool
	Elem     *Type   // of a List; of a Map without Fields: the type of its values
	Fields   []Field // of a Map with known keys, sorted by name; nil: any key
	Dims     int     // of a Vector or MultiVector; 0: unknown
	Element  Element // of a Vector
	Scale    int     // of a Decimal
}

// Field is a named part of a map type or a column of a table.
type Field struct {
	Name string
	Type Type
}

// Simple types.
var (
	TypeDynamic   = Type{Kind: Dynamic, Nullable: true}
	TypeBool      = Type{Kind: Bool}
	TypeInt       = Type{Kind: Int}
	TypeDouble    = Type{Kind: Double}
	TypeString    = Type{Kind: String}
	TypeBytes     = Type{Kind: Bytes}
	TypeTimestamp = Type{Kind: Timestamp}
)

// ListType returns the type of lists of elem.
func ListType(elem Type) Type { return Type{Kind: List, Elem: &elem} }

// MapType returns the type of maps with these fields; without fields, of maps with any string keys and dynamic values.
func MapType(fields ...Field) Type { return Type{Kind: Map, Fields: fields} }

// VectorType returns the type of dense vectors.
func VectorType(elem Element, dims int) Type { return Type{Kind: Vector, Element: elem, Dims: dims} }

// OrNull returns t with null allowed.
func (t Type) OrNull() Type { t.Nullable = true; return t }

// FieldType returns the type of a map's field; Dynamic for a map without known fields; false when there is none.
func (t Type) FieldType(name string) (Type, bool) {
	if t.Kind == Dynamic {
		return TypeDynamic, true
	}
	if t.Kind != Map {
		return Type{}, false
	}
	for _, f := range t.Fields {
		if f.Name == name {
			return f.Type, true
		}
	}
	if t.Fields != nil {
		return Type{}, false
	}
	if t.Elem != nil {
		return *t.Elem, true
	}
	return TypeDynamic, true
}

// Equal reports whether t and o describe the same values.
func (t Type) Equal(o Type) bool { return t.String() == o.String() }

// String writes the type as flow files and messages do: string?, list(int), vector(f32, 768), decimal(2), map{a: int}.
func (t Type) String() string {
	s := t.Kind.String()
	switch t.Kind {
	case List:
		s = fmt.Sprintf("list(%s)", t.Elem)
	case Vector:
		s = fmt.Sprintf("vector(%s, %d)", t.Element, t.Dims)
	case MultiVector:
		s = fmt.Sprintf("multivector(%d)", t.Dims)
	case Decimal:
		s = fmt.Sprintf("decimal(%d)", t.Scale)
	case Map:
		s = t.mapString()
	}
	if t.Nullable && t.Kind != Dynamic {
		s += "?"
	}
	return s
}

func (t Type) mapString() string {
	if t.Fields == nil {
		if t.Elem != nil {
			return fmt.Sprintf("map(%s)", t.Elem)
		}
		return "map"
	}
	parts := make([]string, len(t.Fields))
	for i, f := range t.Fields {
		parts[i] = f.Name + ": " + f.Type.String()
	}
	return "map{" + strings.Join(parts, ", ") + "}"
}
