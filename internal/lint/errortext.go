package lint

import (
	"go/ast"
	"go/token"
	"slices"
)

// matchers are the functions whose answer depends on what a text says.
var matchers = []string{"Contains", "ContainsAny", "HasPrefix", "HasSuffix", "EqualFold", "Index", "LastIndex", "Count",
	"Compare", "CutPrefix", "CutSuffix", "MatchString", "Match"}

// errorTextFaults finds decisions taken on an error's text. A test may look at a message that it is about.
func errorTextFaults(t *Tree) []Fault {
	var faults []Fault
	for _, f := range t.files {
		if f.test {
			continue
		}
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			if n != nil && decidesByText(n) {
				faults = append(faults, f.fault(n.Pos(), "error-text",
					"no decision on an error's text: ask errors.Is, errors.As or stream.KindOf"))
			}
			return true
		})
	}
	return faults
}

func decidesByText(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.CallExpr:
		fn, ok := n.Fun.(*ast.SelectorExpr)
		return ok && slices.Contains(matchers, fn.Sel.Name) && slices.ContainsFunc(n.Args, hasErrorText)
	case *ast.BinaryExpr:
		return (n.Op == token.EQL || n.Op == token.NEQ) && (hasErrorText(n.X) || hasErrorText(n.Y))
	case *ast.SwitchStmt:
		return n.Tag != nil && hasErrorText(n.Tag)
	}
	return false
}

// hasErrorText reports whether an expression asks an error for its text.
func hasErrorText(x ast.Expr) bool {
	found := false
	ast.Inspect(x, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok && len(call.Args) == 0 {
			fn, ok := call.Fun.(*ast.SelectorExpr)
			found = found || ok && fn.Sel.Name == "Error"
		}
		return !found
	})
	return found
}
