package formula

import (
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"

	"github.com/freshet-dev/freshet/stream"
)

// inference finds the type of a checked formula more precisely than CEL's checker, which knows neither null, nor the
// keys of a map literal, nor a decimal's scale.
type inference struct {
	env  *Env
	tree *ast.AST
}

// never is the type of what an empty list holds; it gives way to any other type.
var never = stream.Type{}

// null is the type of a value that is always null.
var null = stream.Type{Kind: stream.Null, Nullable: true}

func (in *inference) result() stream.Type {
	t := in.typeOf(in.tree.Expr(), nil)
	if t.Kind == stream.Null {
		return stream.Type{}
	}
	return settled(t)
}

// settled replaces what stands for "nothing known" inside a finished type.
func settled(t stream.Type) stream.Type {
	if t.Kind == stream.Null {
		return stream.TypeDynamic
	}
	if t.Elem != nil {
		elem := settled(*t.Elem)
		t.Elem = &elem
	}
	fields := t.Fields
	t.Fields = nil
	for _, f := range fields {
		t.Fields = append(t.Fields, stream.Field{Name: f.Name, Type: settled(f.Type)})
	}
	return t
}

func isNever(t stream.Type) bool { return t.Kind == stream.Null && !t.Nullable }

func (in *inference) typeOf(e ast.Expr, s *scope) stream.Type {
	switch e.Kind() {
	case ast.IdentKind:
		return in.ident(e, s)
	case ast.SelectKind:
		return in.selection(e, s)
	case ast.CallKind:
		return in.call(e, s)
	case ast.ListKind:
		elem := never
		for _, item := range e.AsList().Elements() {
			elem = join(elem, in.typeOf(item, s))
		}
		return stream.ListType(elem)
	case ast.MapKind:
		return in.mapLiteral(e, s)
	case ast.ComprehensionKind:
		return in.comprehension(e, s)
	}
	return in.checkers(e)
}

// checkers returns the type that CEL's checker found.
func (in *inference) checkers(e ast.Expr) stream.Type {
	t, ok := in.env.types.streamType(in.tree.GetType(e.ID()))
	if !ok {
		return stream.TypeDynamic
	}
	return t
}

func (in *inference) ident(e ast.Expr, s *scope) stream.Type {
	if bound := s.find(e.AsIdent()); bound != nil {
		return bound.typ
	}
	name, _ := freeName(e.AsIdent(), s)
	if t, ok := in.env.vars[name]; ok {
		return t
	}
	return in.checkers(e)
}

func (in *inference) selection(e ast.Expr, s *scope) stream.Type {
	if e.AsSelect().IsTestOnly() {
		return stream.TypeBool
	}
	operand := in.typeOf(e.AsSelect().Operand(), s)
	t, ok := operand.FieldType(e.AsSelect().FieldName())
	if !ok {
		return null
	}
	return orNull(t, operand.Nullable || operand.Fields == nil)
}

func (in *inference) call(e ast.Expr, s *scope) stream.Type {
	call := e.AsCall()
	args := operands(call)
	switch call.FunctionName() {
	case fnNull:
		return null
	case fnMap:
		return in.typeOf(args[0], s)
	case fnOr:
		return withDefault(in.typeOf(args[0], s), in.typeOf(args[1], s))
	case operators.Conditional:
		return join(in.typeOf(args[1], s), in.typeOf(args[2], s))
	case operators.Index:
		return in.index(e, in.typeOf(args[0], s))
	case operators.Add, operators.Subtract, operators.Multiply:
		return in.arithmetic(e, in.typeOf(args[0], s), in.typeOf(args[len(args)-1], s))
	case "cel.@mapInsert":
		if len(args) == 3 {
			elem := in.typeOf(args[2], s)
			return stream.Type{Kind: stream.Map, Elem: &elem}
		}
	case "slice", "reverse", "distinct", "sort", "@sortByAssociatedKeys":
		if t := in.typeOf(args[0], s); t.Kind == stream.List {
			return notNull(t)
		}
	}
	return in.checkers(e)
}

func (in *inference) index(e ast.Expr, operand stream.Type) stream.Type {
	switch {
	case operand.Kind == stream.List && operand.Elem != nil:
		return orNull(*operand.Elem, operand.Nullable)
	case operand.Kind == stream.Map && operand.Fields == nil && operand.Elem != nil:
		return operand.Elem.OrNull()
	case operand.Kind == stream.Map && operand.Fields != nil:
		t := never
		for _, f := range operand.Fields {
			t = join(t, f.Type)
		}
		return t.OrNull()
	}
	return in.checkers(e).OrNull()
}

// arithmetic covers what an operator does to a decimal's scale and to lists; the checker knows the rest.
func (in *inference) arithmetic(e ast.Expr, a, b stream.Type) stream.Type {
	op := e.AsCall().FunctionName()
	switch {
	case a.Kind == stream.Decimal && b.Kind == stream.Decimal && op == operators.Multiply:
		return stream.Type{Kind: stream.Decimal, Scale: a.Scale + b.Scale}
	case a.Kind == stream.Decimal && b.Kind == stream.Decimal:
		return stream.Type{Kind: stream.Decimal, Scale: max(a.Scale, b.Scale)}
	case a.Kind == stream.List && b.Kind == stream.List && op == operators.Add:
		return notNull(join(a, b))
	}
	return in.checkers(e)
}

func (in *inference) mapLiteral(e ast.Expr, s *scope) stream.Type {
	fields := map[string]stream.Type{}
	elem := never
	known := true
	for _, entry := range e.AsMap().Entries() {
		t := in.typeOf(entry.AsMapEntry().Value(), s)
		elem = join(elem, t)
		name, ok := constantKey(entry.AsMapEntry().Key())
		known = known && ok
		fields[name] = t
	}
	if !known || len(fields) == 0 {
		return stream.Type{Kind: stream.Map, Elem: &elem}
	}
	return recordOf(fields)
}

func constantKey(e ast.Expr) (string, bool) {
	if e.Kind() != ast.LiteralKind {
		return "", false
	}
	name, ok := e.AsLiteral().(types.String)
	return string(name), ok
}

// comprehension runs the loop once in types: what it accumulates is the join of its start and its step.
func (in *inference) comprehension(e ast.Expr, s *scope) stream.Type {
	c := e.AsComprehension()
	accu := in.typeOf(c.AccuInit(), s)
	first, second := in.iterated(c, in.typeOf(c.IterRange(), s))
	if isBinding(c) {
		return in.typeOf(c.Result(), s.bind(c.AccuVar(), accu))
	}
	loop := s.bind(c.AccuVar(), accu).bind(c.IterVar(), first).bind(c.IterVar2(), second)
	accu = join(accu, in.typeOf(c.LoopStep(), loop))
	return in.typeOf(c.Result(), s.bind(c.AccuVar(), accu))
}

// children is like the function children, and gives the variables of loops their types.
func (in *inference) children(e ast.Expr, s *scope, f func(ast.Expr, *scope)) {
	if e.Kind() != ast.ComprehensionKind {
		children(e, s, f)
		return
	}
	c := e.AsComprehension()
	first, second := in.iterated(c, in.typeOf(c.IterRange(), s))
	loopParts(c, s, first, second, f)
}

// isBinding reports whether a comprehension iterates over nothing, and so only names a value.
func isBinding(c ast.ComprehensionExpr) bool {
	return c.IterRange().Kind() == ast.ListKind && c.IterRange().AsList().Size() == 0
}

// iterated returns the types of the loop's variables over a range of type t.
func (in *inference) iterated(c ast.ComprehensionExpr, t stream.Type) (first, second stream.Type) {
	value := stream.TypeDynamic
	if t.Elem != nil {
		value = *t.Elem
	}
	if t.Fields != nil {
		value = never
		for _, f := range t.Fields {
			value = join(value, f.Type)
		}
	}
	switch {
	case t.Kind == stream.List && c.HasIterVar2():
		return stream.TypeInt, value
	case t.Kind == stream.List:
		return value, stream.TypeDynamic
	case t.Kind == stream.Map && in.stringKeys(c.IterRange()):
		return stream.TypeString, value
	}
	return stream.TypeDynamic, stream.TypeDynamic
}

// stringKeys reports whether the checker found e to be a map with string keys, or no map at all.
func (in *inference) stringKeys(e ast.Expr) bool {
	t := in.tree.GetType(e.ID())
	return t.Kind() != types.MapKind || t.Parameters()[0].Kind() == types.StringKind
}
