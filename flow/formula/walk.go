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

// children calls f for each direct part of e, in order, with the scope it is in.
func children(e ast.Expr, s *scope, f func(ast.Expr, *scope)) {
	switch e.Kind() {
	case ast.SelectKind:
		f(e.AsSelect().Operand(), s)
	case ast.CallKind:
		call := e.AsCall()
		if call.IsMemberFunction() {
			f(call.Target(), s)
		}
		for _, arg := range call.Args() {
			f(arg, s)
		}
	case ast.ListKind:
		for _, item := range e.AsList().Elements() {
			f(item, s)
		}
	case ast.MapKind:
		for _, entry := range e.AsMap().Entries() {
			f(entry.AsMapEntry().Key(), s)
			f(entry.AsMapEntry().Value(), s)
		}
	case ast.StructKind:
		for _, field := range e.AsStruct().Fields() {
			f(field.AsStructField().Value(), s)
		}
	case ast.ComprehensionKind:
		c := e.AsComprehension()
		f(c.IterRange(), s)
		f(c.AccuInit(), s)
		result := s.bind(c.AccuVar(), stream.TypeDynamic)
		loop := result.bind(c.IterVar(), stream.TypeDynamic).bind(c.IterVar2(), stream.TypeDynamic)
		f(c.LoopCondition(), loop)
		f(c.LoopStep(), loop)
		f(c.Result(), result)
	}
}
