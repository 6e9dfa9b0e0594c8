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

// value selects; ok is false where the interpreter has to say what is wrong.
func (p *plain) value(vars func(string) stream.Value) (v stream.Value, ok bool) {
	v = vars(p.name)
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
