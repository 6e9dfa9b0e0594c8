package formula

import (
	"strings"

	"cel.dev/cel-go/common/ast"

	"github.com/freshet-dev/freshet/stream"
)

// scope is the chain of names that comprehensions bind, innermost first. nil is the formula's outermost scope.
type scope struct {
	outer *scope
	name  string
	typ   stream.Type
	level int // names bound outside of this one
}

func (s *scope) bind(name string, t stream.Type) *scope {
	if name == "" {
		return s
	}
	level := 0
	if s != nil {
		level = s.level + 1
	}
	return &scope{outer: s, name: name, typ: t, level: level}
}

func (s *scope) find(name string) *scope {
	for ; s != nil; s = s.outer {
		if s.name == name {
			return s
		}
	}
	return nil
}

// freeName returns the variable that an identifier reads; false when a comprehension binds the name.
func freeName(ident string, s *scope) (string, bool) {
	if s.find(ident) != nil {
		return "", false
	}
	return strings.TrimPrefix(ident, "."), true
}

// children calls f for each direct part of e, in order, with the scope it is in. What comprehensions bind has no type
// there; inference.children gives it one.
func children(e ast.Expr, s *scope, f func(ast.Expr, *scope)) {
	if e.Kind() != ast.ComprehensionKind {
		parts(e, func(part ast.Expr) { f(part, s) })
		return
	}
	c := e.AsComprehension()
	loopParts(c, s, stream.TypeDynamic, stream.TypeDynamic, f)
}

func loopParts(c ast.ComprehensionExpr, s *scope, first, second stream.Type, f func(ast.Expr, *scope)) {
	f(c.IterRange(), s)
	f(c.AccuInit(), s)
	result := s.bind(c.AccuVar(), stream.TypeDynamic)
	loop := result.bind(c.IterVar(), first).bind(c.IterVar2(), second)
	f(c.LoopCondition(), loop)
	f(c.LoopStep(), loop)
	f(c.Result(), result)
}

// parts calls f for each direct part of an expression that binds no names.
func parts(e ast.Expr, f func(ast.Expr)) {
	switch e.Kind() {
	case ast.SelectKind:
		f(e.AsSelect().Operand())
	case ast.CallKind:
		for _, arg := range operands(e.AsCall()) {
			f(arg)
		}
	case ast.ListKind:
		for _, item := range e.AsList().Elements() {
			f(item)
		}
	case ast.MapKind:
		for _, entry := range e.AsMap().Entries() {
			f(entry.AsMapEntry().Key())
			f(entry.AsMapEntry().Value())
		}
	case ast.StructKind:
		for _, field := range e.AsStruct().Fields() {
			f(field.AsStructField().Value())
		}
	}
}

// operands returns what a call works on: its target, when it has one, and its arguments.
func operands(call ast.CallExpr) []ast.Expr {
	if !call.IsMemberFunction() {
		return call.Args()
	}
	return append([]ast.Expr{call.Target()}, call.Args()...)
}
