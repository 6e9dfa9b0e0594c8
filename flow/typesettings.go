package flow

import (
	"sort"
	"strconv"
	"strings"

	"github.com/freshet-dev/freshet/stream"
)

const returnRule = typeRule + "; vector(dimensions) makes a vector of f32, a mapping of field to type a map, [T] a list of what T is"

// typeSetting reads a type that is a setting: a text, a mapping of fields, or a list of one type.
func (c *checker) typeSetting(t *tree, what string) (stream.Type, bool) {
	switch t.shape {
	case shapeMapping:
		return c.mapType(t, what)
	case shapeList:
		if len(t.items) != 1 {
			c.add(t.at, returnRule, "%s: a list has one type of elements, not %d", what, len(t.items))
			return stream.Type{}, false
		}
		elem, ok := c.typeSetting(t.items[0], "an element of "+what)
		return stream.ListType(elem), ok
	}
	text, ok := c.text(t, what)
	if !ok {
		return stream.Type{}, false
	}
	typ, ok := parseReturn(text)
	if !ok {
		c.add(t.at, returnRule, "%s: %q is no type", what, text)
	}
	return typ, ok
}

func (c *checker) mapType(t *tree, what string) (stream.Type, bool) {
	if len(t.entries) == 0 {
		c.add(t.at, returnRule, "%s has no field", what)
		return stream.Type{}, false
	}
	var fields []stream.Field
	whole := true
	for _, e := range t.entries {
		typ, ok := c.typeSetting(e.value, "field "+e.key+" of "+what)
		whole = whole && ok && c.matches(e.at, "a field", e.key, identifier, identifierRule)
		fields = append(fields, stream.Field{Name: e.key, Type: typ})
	}
	sort.Slice(fields, func(i, j int) bool { return fields[i].Name < fields[j].Name })
	return stream.MapType(fields...), whole
}

// maxDims is the most dimensions of a vector.
const maxDims = 65_536

// parseReturn is parseType with vectors.
func parseReturn(text string) (stream.Type, bool) {
	bare, nullable := strings.CutSuffix(strings.TrimSpace(text), "?")
	var t stream.Type
	if arg, found := argument(bare, "vector"); found {
		n, err := strconv.Atoi(strings.TrimSpace(arg))
		if err != nil || n < 1 || n > maxDims {
			return t, false
		}
		t = stream.VectorType(stream.F32, n)
	} else if arg, found := argument(bare, "list"); found {
		elem, ok := parseReturn(arg)
		if !ok {
			return t, false
		}
		t = stream.ListType(elem)
	} else {
		return parseType(text)
	}
	t.Nullable = nullable
	return t, true
}

// mapSetting keeps a mapping as it is written; its scalars are those that YAML has.
func (c *checker) mapSetting(t *tree, what string) (stream.Value, bool) {
	if !c.isMapping(t, what) {
		return stream.Value{}, false
	}
	return c.anyValue(t, what)
}

func (c *checker) anyValue(t *tree, what string) (stream.Value, bool) {
	whole := !t.masked
	switch t.shape {
	case shapeMapping:
		var entries []stream.Entry
		for _, e := range t.entries {
			v, ok := c.anyValue(e.value, "`"+e.key+"` in "+what)
			entries, whole = append(entries, stream.Entry{Key: e.key, Value: v}), whole && ok
		}
		return stream.MapOf(entries...), whole
	case shapeList:
		items := make([]stream.Value, len(t.items))
		for i, item := range t.items {
			var ok bool
			items[i], ok = c.anyValue(item, "an entry of "+what)
			whole = whole && ok
		}
		return stream.ListOf(items...), whole
	case shapeInt:
		n, err := strconv.ParseInt(t.text, 10, 64)
		if err != nil {
			c.add(t.at, "quote it", "%s must be a whole number of at most 64 bits, not %s", what, t.text)
		}
		return stream.IntOf(n), whole && err == nil
	case shapeDouble:
		return c.double(t, what)
	case shapeBool:
		return stream.BoolOf(t.text == "true"), whole
	case shapeString:
		return stream.StringOf(t.text), whole
	}
	return stream.Value{}, whole
}

// secrets reads a mapping of names to references.
func (c *checker) secrets(t *tree, what string) (stream.Value, bool) {
	if !c.isMapping(t, what) {
		return stream.Value{}, false
	}
	var entries []stream.Entry
	whole := true
	for _, e := range t.entries {
		named := e.key + " in " + what
		text, ok := c.text(e.value, named)
		whole = whole && ok && c.secret(e.value, named)
		entries = append(entries, stream.Entry{Key: e.key, Value: stream.StringOf(text)})
	}
	return stream.MapOf(entries...), whole
}
