package formula

import (
	"slices"
	"strings"

	"github.com/freshet-dev/freshet/stream"
)

// orNull returns t, with null allowed when nullable.
func orNull(t stream.Type, nullable bool) stream.Type {
	t.Nullable = nullable || t.Nullable || t.Kind == stream.Dynamic
	return t
}

// notNull returns t without null; a dynamic type always allows it.
func notNull(t stream.Type) stream.Type {
	t.Nullable = t.Kind == stream.Dynamic
	return t
}

// withDefault is the type of x.or(d).
func withDefault(x, d stream.Type) stream.Type {
	nullable := d.Nullable
	x.Nullable, d.Nullable = x.Kind == stream.Null && x.Nullable, d.Kind == stream.Null && d.Nullable
	t := join(x, d)
	t.Nullable = nullable || t.Kind == stream.Dynamic
	return t
}

// join is the narrowest type that holds the values of both; dynamic when they have nothing in common.
func join(a, b stream.Type) stream.Type {
	nullable := a.Nullable || b.Nullable
	switch {
	case isNever(a):
		return b
	case isNever(b):
		return a
	case a.Kind == stream.Null:
		return b.OrNull()
	case b.Kind == stream.Null:
		return a.OrNull()
	case a.Kind != b.Kind:
		return stream.TypeDynamic
	}
	a.Nullable, b.Nullable = nullable, nullable
	switch a.Kind {
	case stream.Decimal:
		a.Scale = max(a.Scale, b.Scale)
	case stream.List:
		a.Elem = joinElem(a.Elem, b.Elem)
	case stream.Map:
		return joinMaps(a, b)
	default:
		if !a.Equal(b) {
			return stream.TypeDynamic
		}
	}
	return a
}

func joinElem(a, b *stream.Type) *stream.Type {
	t := stream.TypeDynamic
	if a != nil && b != nil {
		t = join(*a, *b)
	}
	return &t
}

// joinMaps keeps the fields that either map has; one that only the other has may be missing, which is null.
func joinMaps(a, b stream.Type) stream.Type {
	if a.Fields == nil || b.Fields == nil {
		if a.Fields == nil && b.Fields == nil {
			a.Elem = joinElem(a.Elem, b.Elem)
			return a
		}
		return orNull(stream.MapType(), a.Nullable)
	}
	fields := map[string]stream.Type{}
	for _, f := range a.Fields {
		fields[f.Name] = f.Type.OrNull()
	}
	for _, f := range b.Fields {
		fields[f.Name] = f.Type.OrNull()
		if x, ok := a.FieldType(f.Name); ok {
			fields[f.Name] = join(x, f.Type)
		}
	}
	return orNull(recordOf(fields), a.Nullable)
}

func recordOf(fields map[string]stream.Type) stream.Type {
	t := stream.Type{Kind: stream.Map}
	for name, ft := range fields {
		t.Fields = append(t.Fields, stream.Field{Name: name, Type: ft})
	}
	slices.SortFunc(t.Fields, func(a, b stream.Field) int { return strings.Compare(a.Name, b.Name) })
	return t
}
