package formula

import (
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
)

// lowered returns a copy of a checked formula in which what our rules change (selection, presence, index, membership,
// iteration, keys of maps) are calls of our functions.
func lowered(checked *ast.AST) *ast.AST {
	l := &lowering{newMaker(ast.Copy(checked))}
	l.expr(l.tree.Expr())
	return l.tree
}

type lowering struct{ maker }

func (l *lowering) expr(e ast.Expr) {
	children(e, nil, func(child ast.Expr, _ *scope) { l.expr(child) })
	switch e.Kind() {
	case ast.SelectKind:
		l.selection(e)
	case ast.CallKind:
		l.call(e)
	case ast.MapKind:
		l.mapLiteral(e)
	case ast.ComprehensionKind:
		l.comprehension(e)
	}
}

func (l *lowering) selection(e ast.Expr) {
	sel, name := e.AsSelect(), fnSelect
	if sel.IsTestOnly() {
		name = fnHas
	}
	field := build.NewLiteral(l.id(e), types.String(sel.FieldName()))
	e.SetKindCase(build.NewCall(e.ID(), name, sel.Operand(), field))
}

func (l *lowering) call(e ast.Expr) {
	call, name := e.AsCall(), ""
	switch call.FunctionName() {
	case operators.Index:
		name = fnIndex
	case operators.In:
		name = fnIn
	case fnNull:
		e.SetKindCase(build.NewLiteral(e.ID(), types.NullValue))
		return
	case fnMap:
		l.replace(e, call.Args()[0])
		return
	default:
		return
	}
	delete(l.tree.ReferenceMap(), e.ID())
	e.SetKindCase(build.NewCall(e.ID(), name, call.Args()...))
}

func (l *lowering) mapLiteral(e ast.Expr) {
	m := e.AsMap()
	entries := make([]ast.EntryExpr, m.Size())
	for i, entry := range m.Entries() {
		key := entry.AsMapEntry().Key()
		if key.Kind() != ast.LiteralKind || !isKey(key.AsLiteral()) {
			key = build.NewCall(l.id(key), fnKey, key)
		}
		entries[i] = build.NewMapEntry(entry.ID(), key, entry.AsMapEntry().Value(), false)
	}
	e.SetKindCase(build.NewMap(e.ID(), entries))
}

func (l *lowering) comprehension(e ast.Expr) {
	c := e.AsComprehension()
	over := c.IterRange()
	if over.Kind() != ast.ListKind {
		over = build.NewCall(l.id(over), fnOrdered, over)
	}
	e.SetKindCase(build.NewComprehensionTwoVar(e.ID(), over, c.IterVar(), c.IterVar2(), c.AccuVar(), c.AccuInit(),
		c.LoopCondition(), c.LoopStep(), c.Result()))
}

// replace puts a part of e in e's place.
func (l *lowering) replace(e, part ast.Expr) {
	refs := l.tree.ReferenceMap()
	delete(refs, e.ID())
	if r, ok := refs[part.ID()]; ok {
		refs[e.ID()] = r
	}
	l.tree.SetType(e.ID(), l.tree.GetType(part.ID()))
	e.SetKindCase(part)
}
