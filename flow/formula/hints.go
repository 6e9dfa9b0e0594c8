package formula

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/containers"
)

// hints finds the names, fields and functions of a parsed formula that do not exist, by expression ID, and suggests
// what may have been meant. The checker decides whether they are faults; a hint is the better message.
func (e *Env) hints(tree *ast.AST) map[int64]Fault {
	h := &hinter{env: e, tree: tree, found: map[int64]Fault{}, types: inference{env: e, tree: tree}}
	h.expr(tree.Expr(), nil)
	return h.found
}

type hinter struct {
	env   *Env
	tree  *ast.AST
	types inference
	found map[int64]Fault
}

func (h *hinter) expr(e ast.Expr, s *scope) {
	switch e.Kind() {
	case ast.IdentKind:
		h.name(e, s)
	case ast.SelectKind:
		h.field(e, s)
	case ast.CallKind:
		if h.function(e, s) {
			return
		}
	}
	h.types.children(e, s, h.expr)
}

func (h *hinter) name(e ast.Expr, s *scope) {
	name, free := freeName(e.AsIdent(), s)
	if _, known := h.env.vars[name]; !free || known {
		return
	}
	h.report(e, 0, "unknown name %q%s", name, suggest(name, append(scopeNames(s), h.env.names...)))
}

func scopeNames(s *scope) []string {
	var names []string
	for ; s != nil; s = s.outer {
		if identifier.MatchString(s.name) {
			names = append(names, s.name)
		}
	}
	return names
}

func (h *hinter) field(e ast.Expr, s *scope) {
	operand, field := h.types.typeOf(e.AsSelect().Operand(), s), e.AsSelect().FieldName()
	if _, ok := operand.FieldType(field); ok || operand.Fields == nil {
		return
	}
	names := make([]string, len(operand.Fields))
	for i, f := range operand.Fields {
		names[i] = f.Name
	}
	more := suggest(field, names)
	if more == "" {
		more = ": there are " + strings.Join(names, ", ")
	}
	h.report(e, 1, "unknown field %q%s", field, more) // the position is the dot's
}

// function reports a call of a function that does not exist. done means that the call's target is no expression but
// the namespace of a function, as in math.abs(x).
func (h *hinter) function(e ast.Expr, s *scope) (done bool) {
	call := e.AsCall()
	name := call.FunctionName()
	if call.IsMemberFunction() {
		if prefix, ok := containers.ToQualifiedName(call.Target()); ok && h.env.cel.HasFunction(prefix+"."+name) {
			for _, arg := range call.Args() {
				h.expr(arg, s)
			}
			return true
		}
	}
	if !h.env.cel.HasFunction(name) {
		h.report(e, 0, "unknown function %q%s", name, suggest(name, h.functionNames()))
	}
	return false
}

func (h *hinter) functionNames() []string {
	var names []string
	for name := range h.env.cel.Functions() {
		if identifier.MatchString(name) {
			names = append(names, name)
		}
	}
	for _, m := range h.env.cel.Macros() {
		names = append(names, m.Function())
	}
	return names
}

func (h *hinter) report(e ast.Expr, right int, format string, args ...any) {
	f := Fault{Message: fmt.Sprintf(format, args...)}
	f.Line, f.Column = position(h.tree.SourceInfo().GetStartLocation(e.ID()))
	f.Column += right
	h.found[e.ID()] = f
}

// suggest returns `: did you mean "x"?` for the name nearest to the one written, "" when none is near.
func suggest(written string, names []string) string {
	best, distance := "", 1+max(1, (utf8.RuneCountInString(written)+1)/3)
	slices.Sort(names)
	for _, name := range names {
		if d := editDistance(written, name); d < distance {
			best, distance = name, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(": did you mean %q?", best)
}

// editDistance counts the insertions, deletions and replacements that turn a into b.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}

func sortFaults(faults []Fault) {
	slices.SortFunc(faults, func(a, b Fault) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		if a.Column != b.Column {
			return a.Column - b.Column
		}
		return strings.Compare(a.Message, b.Message)
	})
}
