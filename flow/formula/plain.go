package formula

import (
	"cel.dev/cel-go/common/ast"

	"github.com/freshet-dev/freshet/stream"
)

// plain is a formula that only selects fields of a variable, as most columns do: it needs no interpreter.
type plain struct {
	name string
	path []string
}

// plainOf recognises a plain formula in a checked tree; nil for any other.
func plainOf(e ast.Expr) *plain {
	switch e.Kind() {
	case ast.IdentKind:
		return &plain{name: e.AsIdent()}
	case ast.SelectKind:
		s := e.AsSelect()
		if p := plainOf(s.Operand()); p != nil && !s.IsTestOnly() {
			p.path = append(p.path, s.FieldName())
			return p
		}
	}
	return nil
}

// Variable returns the one variable that the formula selects a field of, or is; ok is false for any other formula.
func (f *Formula) Variable() (name string, ok bool) {
	if f.plain == nil {
		return "", false
	}
	return f.plain.name, true
}

// Select computes a formula that has a Variable, from the variable's value. ok is false where Eval has to say what is
// wrong.
func (f *Formula) Select(v stream.Value) (_ stream.Value, ok bool) { return f.plain.of(v) }

// of selects; ok is false where the interpreter has to say what is wrong.
func (p *plain) of(v stream.Value) (_ stream.Value, ok bool) {
	for _, field := range p.path {
		if v.IsNull() {
			return v, true
		}
		if v.Kind() != stream.Map {
			return v, false
		}
		v = v.Field(field)
	}
	return v, true
}
