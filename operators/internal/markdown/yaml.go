package markdown

import (
	"fmt"
	"math/big"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/freshet-dev/freshet/stream"
)

// maxDepth bounds how deep a front matter nests.
const maxDepth = 32

func invalid(format string, args ...any) error {
	return stream.Errorf(stream.Invalid, "read the front matter", format, args...)
}

// parseYAML returns nil, a yaml.MapSlice, or something else that is no mapping.
func parseYAML(source string) (any, error) {
	if depth(source) > maxDepth {
		return nil, invalid("it nests deeper than %d levels", maxDepth)
	}
	file, err := parser.ParseBytes([]byte(source), 0)
	if err != nil {
		return nil, broken(err)
	}
	if len(file.Docs) == 0 || file.Docs[0].Body == nil {
		return nil, nil
	}
	if err := refuseReferences(file.Docs[0].Body); err != nil {
		return nil, err
	}
	var out any
	if err := yaml.NodeToValue(file.Docs[0].Body, &out, yaml.UseOrderedMap()); err != nil {
		return nil, broken(err)
	}
	return out, nil
}

func broken(err error) error {
	first, _, _ := strings.Cut(err.Error(), "\n")
	return invalid("%s (correct the YAML between the lines of ---; for a thematic break, write ***)", first)
}

// depth is an upper bound of how deep collections nest, indentation aside, so that a hostile file can't exhaust the
// parser.
func depth(source string) int {
	deepest, open := 0, 0
	for line := range strings.Lines(source) {
		dashes := leadingDashes(line)
		open += strings.Count(line, "[") + strings.Count(line, "{")
		deepest = max(deepest, open+dashes)
		open = max(0, open-strings.Count(line, "]")-strings.Count(line, "}"))
	}
	return deepest
}

func leadingDashes(line string) int {
	for n := 0; ; n++ {
		rest, more := strings.CutPrefix(strings.TrimLeft(line, " "), "- ")
		if !more {
			return n
		}
		line = rest
	}
}

type references struct{ found ast.Node }

func (r *references) Visit(n ast.Node) ast.Visitor {
	switch n.(type) {
	case *ast.AliasNode, *ast.AnchorNode, *ast.TagNode, *ast.MergeKeyNode:
		r.found = n
	}
	if r.found != nil {
		return nil
	}
	return r
}

func refuseReferences(n ast.Node) error {
	var r references
	ast.Walk(&r, n)
	if r.found == nil {
		return nil
	}
	return invalid("line %d: anchors, aliases, tags and merge keys are not read; write the value out (or quote it)",
		r.found.GetToken().Position.Line+1)
}

func mapping(m yaml.MapSlice, level int) (stream.Value, error) {
	entries := make([]stream.Entry, 0, len(m))
	for _, item := range m {
		v, err := value(item.Value, level+1)
		if err != nil {
			return stream.Value{}, err
		}
		entries = append(entries, stream.Entry{Key: fmt.Sprint(item.Key), Value: v})
	}
	return stream.MapOf(entries...), nil
}

func value(y any, level int) (stream.Value, error) {
	if level > maxDepth {
		return stream.Value{}, invalid("it nests deeper than %d levels", maxDepth)
	}
	switch y := y.(type) {
	case nil:
		return stream.Value{}, nil
	case bool:
		return stream.BoolOf(y), nil
	case string:
		return stream.StringOf(y), nil
	case float64:
		return stream.DoubleOf(y), nil
	case int64:
		return stream.IntOf(y), nil
	case uint64:
		return unsigned(y), nil
	case yaml.MapSlice:
		return mapping(y, level)
	case []any:
		return list(y, level)
	}
	return stream.Value{}, invalid("a value of type %T is not read; quote it", y)
}

// unsigned keeps a number beyond the range of int exactly.
func unsigned(u uint64) stream.Value {
	if u > 1<<63-1 {
		return stream.DecimalOf(new(big.Int).SetUint64(u), 0)
	}
	return stream.IntOf(int64(u))
}

func list(items []any, level int) (stream.Value, error) {
	out := make([]stream.Value, len(items))
	for i, item := range items {
		v, err := value(item, level+1)
		if err != nil {
			return stream.Value{}, err
		}
		out[i] = v
	}
	return stream.ListOf(out...), nil
}
