package flow

import (
	"sort"
	"strconv"
	"strings"

	"github.com/freshet-dev/freshet/stream"
)

var simpleTypes = map[string]stream.Type{
	"bool": stream.TypeBool, "int": stream.TypeInt, "double": stream.TypeDouble, "string": stream.TypeString,
	"bytes": stream.TypeBytes, "timestamp": stream.TypeTimestamp, "map": stream.MapType(), "dyn": stream.TypeDynamic,
}

const typeRule = "write bool, int, double, decimal(n), string, bytes, timestamp, list(T), map or dyn, with ? where null is allowed"

// parseType reads a type as `fields:` has it, e.g. string?, decimal(2), list(int).
func parseType(text string) (stream.Type, bool) {
	text, nullable := strings.CutSuffix(strings.TrimSpace(text), "?")
	t, ok := simpleTypes[text]
	if arg, found := argument(text, "decimal"); found {
		n, err := strconv.ParseUint(arg, 10, 8)
		t, ok = stream.Type{Kind: stream.Decimal, Scale: int(n)}, err == nil
	}
	if arg, found := argument(text, "list"); found {
		var elem stream.Type
		elem, ok = parseType(arg)
		t = stream.ListType(elem)
	}
	t.Nullable = t.Nullable || nullable
	return t, ok
}

func argument(text, name string) (string, bool) {
	rest, ok := strings.CutPrefix(text, name+"(")
	if !ok {
		return "", false
	}
	return strings.CutSuffix(rest, ")")
}

// fields reads a source's `fields:`, in order of name.
func (c *checker) fields(t *tree) []stream.Field {
	if t == nil || !c.isMapping(t, "`fields`") {
		return nil
	}
	fields := []stream.Field{}
	for _, e := range t.entries {
		text, ok := c.text(e.value, "the type of "+e.key)
		if !ok {
			continue
		}
		typ, ok := parseType(text)
		if !ok {
			c.add(e.value.at, typeRule, "%q is no type", text)
			typ = stream.TypeDynamic
		}
		fields = append(fields, stream.Field{Name: e.key, Type: typ})
	}
	sort.Slice(fields, func(i, j int) bool { return fields[i].Name < fields[j].Name })
	return fields
}

// recordType is the type of `record` in formulas: the metadata of the record that a document came from.
func recordType() stream.Type {
	headers := stream.MapType()
	text := stream.TypeString.OrNull()
	headers.Elem = &text
	return stream.MapType(
		stream.Field{Name: "headers", Type: headers},
		stream.Field{Name: "key", Type: text},
		stream.Field{Name: "timestamp", Type: stream.TypeTimestamp.OrNull()},
	)
}
