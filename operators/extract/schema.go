package extract

import (
	"fmt"
	"slices"
	"strings"

	"github.com/freshet-dev/freshet/stream"
)

// reader finds out the type that a JSON Schema describes. Of the schema's language it takes what has one: objects of known
// fields, lists, texts, numbers, and each of them or null.
type reader struct {
	root   any
	closed bool     // no object met has a field that may be left out
	within []string // references under way
}

var scalars = map[string]stream.Type{"string": stream.TypeString, "integer": stream.TypeInt, "number": stream.TypeDouble, "boolean": stream.TypeBool}

// typ is the type of what a schema describes; at is a pointer to it.
func (r *reader) typ(x any, at string) (stream.Type, error) {
	s, ok := x.(map[string]any)
	if !ok {
		return stream.Type{}, fmt.Errorf("at %s: write an object that says a `type`", at)
	}
	if to, ok := s["$ref"].(string); ok {
		return r.referred(to, at)
	}
	for _, key := range []string{"anyOf", "oneOf"} {
		if choice, ok := s[key].([]any); ok {
			return r.orNull(choice, at+"/"+key)
		}
	}
	kind, nullable, err := named(s, at)
	if err != nil {
		return stream.Type{}, err
	}
	t, known := scalars[kind]
	switch {
	case kind == "object":
		t, err = r.object(s, at)
	case kind == "array":
		t, err = r.array(s, at)
	case !known:
		err = fmt.Errorf("at %s: unknown type %.40q; known: array, boolean, integer, number, object, string", at, kind)
	}
	t.Nullable = nullable
	return t, err
}

// named is the type that a schema names, and whether null is one of its values.
func named(s map[string]any, at string) (kind string, nullable bool, err error) {
	switch t := s["type"].(type) {
	case string:
		return t, false, nil
	case []any:
		others := slices.DeleteFunc(slices.Clone(t), func(x any) bool { return x == "null" })
		if len(others) == 1 {
			kind, _ = others[0].(string)
			return kind, len(others) < len(t), nil
		}
	}
	return "", false, fmt.Errorf("at %s: write one `type`, which may be so or null: [\"string\", \"null\"]", at)
}

// orNull reads a choice between null and something else.
func (r *reader) orNull(choice []any, at string) (stream.Type, error) {
	null := slices.IndexFunc(choice, func(x any) bool {
		s, ok := x.(map[string]any)
		return ok && s["type"] == "null"
	})
	if len(choice) != 2 || null < 0 {
		return stream.Type{}, fmt.Errorf("at %s: a value has one type; a choice may be between it and {\"type\": \"null\"} only", at)
	}
	t, err := r.typ(choice[1-null], fmt.Sprintf("%s/%d", at, 1-null))
	return t.OrNull(), err
}

func (r *reader) object(s map[string]any, at string) (stream.Type, error) {
	properties, _ := s["properties"].(map[string]any)
	if len(properties) == 0 {
		return stream.Type{}, fmt.Errorf("at %s: write the object's `properties`; columns and formulas need to know them", at)
	}
	if more, said := s["additionalProperties"]; !said || more != false {
		return stream.Type{}, fmt.Errorf("at %s: write `\"additionalProperties\": false`, so that the model adds none that nobody knows", at)
	}
	required, _ := s["required"].([]any)
	var fields []stream.Field
	for name, of := range properties {
		t, err := r.typ(of, at+"/properties/"+name)
		if err != nil {
			return stream.Type{}, err
		}
		if !slices.Contains(required, any(name)) {
			t, r.closed = t.OrNull(), false
		}
		fields = append(fields, stream.Field{Name: name, Type: t})
	}
	slices.SortFunc(fields, func(a, b stream.Field) int { return strings.Compare(a.Name, b.Name) })
	return stream.MapType(fields...), nil
}

func (r *reader) array(s map[string]any, at string) (stream.Type, error) {
	items, said := s["items"]
	if !said {
		return stream.Type{}, fmt.Errorf("at %s: write the array's `items`", at)
	}
	t, err := r.typ(items, at+"/items")
	return stream.ListType(t), err
}

// referred reads what a reference within the schema stands for.
func (r *reader) referred(to, at string) (stream.Type, error) {
	if slices.Contains(r.within, to) {
		return stream.Type{}, fmt.Errorf("at %s: %s is within itself; a column's depth must be known", at, to)
	}
	path, within := strings.CutPrefix(to, "#/")
	x := r.root
	for part := range strings.SplitSeq(path, "/") {
		s, _ := x.(map[string]any)
		x = s[strings.NewReplacer("~1", "/", "~0", "~").Replace(part)]
	}
	if !within || x == nil {
		return stream.Type{}, fmt.Errorf("at %s: there is no %.80q in this schema", at, to)
	}
	r.within = append(r.within, to)
	t, err := r.typ(x, to)
	r.within = r.within[:len(r.within)-1]
	return t, err
}
