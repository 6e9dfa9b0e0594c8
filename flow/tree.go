package flow

import (
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// shape says what a part of a YAML file is.
type shape uint8

const (
	shapeNull shape = iota
	shapeString
	shapeInt
	shapeDouble
	shapeBool
	shapeList
	shapeMapping
)

func (s shape) String() string {
	return [...]string{"nothing", "a string", "an integer", "a number", "a boolean", "a list", "a mapping"}[s]
}

// tree is a part of a YAML file with its position: scalars keep their text as written, whatever YAML took them for.
type tree struct {
	at      place
	begin   place // where a scalar's text begins: behind a quote, below a block's header
	shape   shape
	text    string // of a scalar
	source  *source
	plain   bool // an unquoted scalar
	cut     bool // a plain scalar that YAML cut at a comma or at a #
	masked  bool // stands for a tag, an anchor or an alias: already reported
	comment bool // a plain scalar followed by a comment on its line
	entries []entry
	items   []*tree
}

type entry struct {
	key   string
	at    place // of the key
	value *tree
}

// get returns the value of a key, nil when absent.
func (t *tree) get(key string) *tree {
	for i := range t.entries {
		if t.entries[i].key == key {
			return t.entries[i].value
		}
	}
	return nil
}

// reader converts a parsed YAML document into trees.
type reader struct {
	*faultList
	src *source
}

func (r *reader) at(t *token.Token) place {
	if t == nil || t.Position == nil {
		return place{r.src.name, 1, 1}
	}
	return place{r.src.name, t.Position.Line, t.Position.Column}
}

func (r *reader) tree(n ast.Node) *tree {
	t := &tree{at: r.at(n.GetToken()), source: r.src}
	t.masked = r.src.masked[t.at]
	switch n := n.(type) {
	case *ast.MappingNode:
		r.mapping(t, n)
	case *ast.MappingValueNode:
		r.mapping(t, &ast.MappingNode{Values: []*ast.MappingValueNode{n}})
	case *ast.SequenceNode:
		t.shape = shapeList
		for _, item := range n.Values {
			t.items = append(t.items, r.tree(item))
		}
	case *ast.NullNode:
	case *ast.LiteralNode:
		t.shape, t.text = shapeString, n.Value.Value
		t.begin = place{t.at.file, t.at.line + 1, 1}
	default:
		r.scalar(t, n)
	}
	return t
}

func (r *reader) scalar(t *tree, n ast.Node) {
	tok := n.GetToken()
	t.text, t.begin = tok.Value, t.at
	if tok.Type == token.SingleQuoteType || tok.Type == token.DoubleQuoteType {
		t.begin.column++
	}
	switch n.(type) {
	case *ast.StringNode:
		t.shape = shapeString
		t.plain = tok.Type == token.StringType
	case *ast.IntegerNode:
		t.shape = shapeInt
	case *ast.FloatNode:
		t.shape = shapeDouble
	case *ast.BoolNode:
		t.shape = shapeBool
	default:
		r.add(t.at, "quote it", "%q isn't read in flow files", tok.Value)
		t.masked = true
		return
	}
	t.comment = t.plain && tok.Next != nil && tok.Next.Type == token.CommentType &&
		tok.Next.Position.Line == tok.Position.Line+strings.Count(strings.TrimSpace(tok.Origin), "\n")
}

func (r *reader) mapping(t *tree, n *ast.MappingNode) {
	t.shape = shapeMapping
	first := map[string]place{}
	for i, v := range n.Values {
		key, ok := r.key(v)
		if !ok {
			continue
		}
		at := r.at(v.Key.GetToken())
		if i == 0 && !n.IsFlowStyle {
			t.at = at
		}
		if prev := len(t.entries) - 1; n.IsFlowStyle && prev >= 0 && cutAtComma(t.entries[prev].value, v) {
			t.entries[prev].value.cut = true
			continue
		}
		if before, twice := first[key]; twice {
			r.twice(entry{key: key, at: at}, before)
			continue
		}
		first[key] = at
		t.entries = append(t.entries, entry{key, at, r.tree(v.Value)})
	}
}

// twice faults an entry whose key stands before.
func (l *faultList) twice(e entry, before place) {
	l.add(e.at, "keep one of them", "%q is declared twice; the first is at line %d", e.key, before.line)
}

func (r *reader) key(v *ast.MappingValueNode) (string, bool) {
	switch k := v.Key.(type) {
	case *ast.MergeKeyNode:
		r.add(r.at(k.GetToken()), "write the keys out", "merge keys aren't read in flow files")
		return "", false
	case *ast.StringNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.NullNode:
		return k.GetToken().Value, true
	}
	r.add(r.at(v.Key.GetToken()), "write `key: value`", "a key must be a single word")
	return "", false
}

// cutAtComma reports whether v looks like the rest of the formula before it: `{in: f(a, b)}` is read by YAML as a key
// `in` with the value `f(a`, and a key `b)` without a value.
func cutAtComma(before *tree, v *ast.MappingValueNode) bool {
	_, isNull := v.Value.(*ast.NullNode)
	implicit := isNull && v.Value.GetToken().Type == token.ImplicitNullType
	return before.shape == shapeString && before.plain && (before.cut || implicit && !balanced(before.text))
}

// balanced reports whether the brackets and quotes of a formula's text are closed.
func balanced(text string) bool {
	depth, quote := 0, rune(0)
	for _, c := range text {
		switch {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case strings.ContainsRune("([{", c):
			depth++
		case strings.ContainsRune(")]}", c):
			depth--
		}
	}
	return depth == 0 && quote == 0
}
