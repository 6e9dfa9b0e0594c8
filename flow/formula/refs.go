package formula

import (
	"slices"
	"strings"

	"cel.dev/cel-go/common/ast"
)

// Ref is one place in its variables that a formula reads: the variable's name and the longest selection of constant
// fields from it. An empty path is the whole variable.
type Ref struct {
	Name string
	Path []string
}

// Refs returns what the formula reads, without duplicates, sorted by name and path.
func (f *Formula) Refs() []Ref {
	var refs []Ref
	collectRefs(f.checked.Expr(), nil, &refs)
	slices.SortFunc(refs, compareRefs)
	return slices.CompactFunc(refs, func(a, b Ref) bool { return compareRefs(a, b) == 0 })
}

func compareRefs(a, b Ref) int {
	if c := strings.Compare(a.Name, b.Name); c != 0 {
		return c
	}
	return slices.Compare(a.Path, b.Path)
}

func collectRefs(e ast.Expr, s *scope, refs *[]Ref) {
	if r, ok := refOf(e, s); ok {
		*refs = append(*refs, r)
		return
	}
	children(e, s, func(child ast.Expr, s *scope) { collectRefs(child, s, refs) })
}

// refOf reports whether e is a variable, or a selection of constant fields from one.
func refOf(e ast.Expr, s *scope) (Ref, bool) {
	switch e.Kind() {
	case ast.IdentKind:
		name, free := freeName(e.AsIdent(), s)
		return Ref{Name: name}, free
	case ast.SelectKind:
		r, ok := refOf(e.AsSelect().Operand(), s)
		return Ref{r.Name, append(r.Path, e.AsSelect().FieldName())}, ok
	}
	return Ref{}, false
}
