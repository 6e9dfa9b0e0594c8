package formula

import (
	"encoding/binary"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"github.com/freshet-dev/freshet/stream"
)

// Canonical returns the formula's meaning as bytes: the checked syntax tree, in which resolve(name) stands for each
// variable and a number for each name that a comprehension binds. White space, comments, positions, redundant
// parentheses, the names of variables, and the choice between x.a and x["a"] leave no trace.
func (f *Formula) Canonical(resolve func(name string) string) []byte {
	c := canonical{resolve: resolve}
	c.expr(f.checked.Expr(), nil)
	return c.out
}

type canonical struct {
	out     []byte
	resolve func(string) string
}

func (c *canonical) number(n int) { c.out = binary.AppendUvarint(c.out, uint64(n)) }

func (c *canonical) text(s string) {
	c.number(len(s))
	c.out = append(c.out, s...)
}

// expr writes a letter for the kind of e, what e itself says, and its parts. Every piece has its length, so that
// different trees never give equal bytes.
func (c *canonical) expr(e ast.Expr, s *scope) {
	switch e.Kind() {
	case ast.IdentKind:
		c.ident(e.AsIdent(), s)
	case ast.LiteralKind:
		c.literal(e.AsLiteral())
	case ast.SelectKind:
		c.out = append(c.out, "sh"[boolIndex(e.AsSelect().IsTestOnly())])
		c.text(e.AsSelect().FieldName())
	case ast.CallKind:
		call := e.AsCall()
		if call.FunctionName() == fnMap { // depends on what is known of the type
			c.expr(call.Args()[0], s)
			return
		}
		c.out = append(c.out, "cm"[boolIndex(call.IsMemberFunction())])
		c.text(call.FunctionName())
		c.number(len(call.Args()))
	case ast.ListKind:
		c.out = append(c.out, 'L')
		c.number(e.AsList().Size())
	case ast.MapKind:
		c.out = append(c.out, 'M')
		c.number(e.AsMap().Size())
	case ast.ComprehensionKind:
		c.out = append(c.out, "fF"[boolIndex(e.AsComprehension().HasIterVar2())])
	}
	children(e, s, c.expr)
}

func (c *canonical) ident(name string, s *scope) {
	if bound := s.find(name); bound != nil {
		c.out = append(c.out, 'b')
		c.number(bound.level)
		return
	}
	free, _ := freeName(name, s)
	c.out = append(c.out, 'v')
	c.text(c.resolve(free))
}

func (c *canonical) literal(v ref.Val) {
	c.out = append(c.out, 'l')
	c.text(v.Type().TypeName())
	if u, ok := v.(types.Uint); ok {
		c.number(int(u))
		return
	}
	x, err := native(v)
	if err != nil { // literals are null, bools, numbers, strings and bytes
		x = stream.StringOf(err.Error())
	}
	c.text(string(stream.AppendValue(nil, x)))
}

func boolIndex(b bool) int {
	if b {
		return 1
	}
	return 0
}
