package formula

import (
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"
)

var build = ast.NewExprFactory()

// maker makes new expressions of one formula.
type maker struct {
	tree *ast.AST
	next int64 // highest ID used
}

func newMaker(tree *ast.AST) maker { return maker{tree: tree, next: ast.MaxID(tree)} }

// id returns a new ID at the position of e.
func (m *maker) id(e ast.Expr) int64 {
	m.next++
	if r, ok := m.tree.SourceInfo().GetOffsetRange(e.ID()); ok {
		m.tree.SourceInfo().SetOffsetRange(m.next, r)
	}
	return m.next
}

// prepare rewrites a parsed formula, in place, for the checker: x["name"] becomes x.name; the literal null becomes a
// dynamic value, since the checker would not let null stand beside a string or a number; and a map with known fields,
// which the checker takes for an object, is made a map again where it is used as one.
func (e *Env) prepare(tree *ast.AST) {
	simplify(tree.Expr())
	w := &widening{maker: newMaker(tree), types: inference{env: e, tree: tree}}
	w.expr(tree.Expr(), nil)
}

func simplify(e ast.Expr) {
	children(e, nil, func(child ast.Expr, _ *scope) { simplify(child) })
	switch e.Kind() {
	case ast.LiteralKind:
		if e.AsLiteral() == types.NullValue {
			e.SetKindCase(build.NewCall(e.ID(), fnNull))
		}
	case ast.CallKind:
		call := e.AsCall()
		if call.FunctionName() != operators.Index || call.Args()[1].Kind() != ast.LiteralKind {
			return
		}
		if name, ok := call.Args()[1].AsLiteral().(types.String); ok {
			e.SetKindCase(build.NewSelect(e.ID(), call.Args()[0], string(name)))
		}
	}
}

type widening struct {
	maker
	types inference
}

func (w *widening) expr(e ast.Expr, s *scope) {
	switch e.Kind() {
	case ast.ComprehensionKind:
		w.widen(e.AsComprehension().IterRange(), s)
	case ast.CallKind:
		args := operands(e.AsCall())
		switch e.AsCall().FunctionName() {
		case operators.Index, overloads.Size:
			w.widen(args[0], s)
		case operators.In:
			w.widen(args[len(args)-1], s)
		}
	}
	w.types.children(e, s, w.expr)
}

// widen wraps e, in place, when it is a map with known fields.
func (w *widening) widen(e ast.Expr, s *scope) {
	if e.Kind() == ast.MapKind || w.types.typeOf(e, s).Fields == nil {
		return
	}
	inner := build.CopyExpr(e)
	inner.RenumberIDs(func(id int64) int64 {
		if id == e.ID() {
			return w.id(e)
		}
		return id
	})
	e.SetKindCase(build.NewCall(e.ID(), fnMap, inner))
}
