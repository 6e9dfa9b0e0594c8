package lint

import (
	"go/ast"
	"slices"
)

// skipFaults finds tests that skip themselves without a reason, or could do so unseen where all must run: a skip is for
// testing.Short, or its function asks for the variable CI and fails instead when it is set.
func skipFaults(t *Tree) []Fault {
	const rule = "skip"
	var faults []Fault
	for _, f := range t.files {
		if f.nameOf("testing") == "" {
			continue
		}
		for _, fn := range f.functions() {
			loud := f.asksForCI(fn)
			inspectSkips(f, fn, func(call *ast.CallExpr, short bool) {
				switch {
				case !hasReason(call):
					faults = append(faults, f.fault(call.Pos(), rule, "a skip without a reason: say what is missing and how to get it"))
				case !loud && !short:
					faults = append(faults, f.fault(call.Pos(), rule, "the skip is silent under CI: fail there (os.Getenv(\"CI\"), as testenv does)"))
				}
			})
		}
	}
	return faults
}

// inspectSkips visits the skips of a function; short when testing.Short decides.
func inspectSkips(f *file, fn *ast.FuncDecl, visit func(call *ast.CallExpr, short bool)) {
	var shorts []*ast.BlockStmt
	ast.Inspect(fn, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.IfStmt:
			if call, ok := n.Cond.(*ast.CallExpr); ok && f.named(call.Fun, "testing", "Short") {
				shorts = append(shorts, n.Body)
			}
		case *ast.CallExpr:
			if isSkip(n) {
				within := func(b *ast.BlockStmt) bool { return b.Pos() <= n.Pos() && n.End() <= b.End() }
				visit(n, slices.ContainsFunc(shorts, within))
			}
		}
		return true
	})
}

func isSkip(call *ast.CallExpr) bool {
	s, ok := call.Fun.(*ast.SelectorExpr)
	return ok && slices.Contains([]string{"Skip", "Skipf", "SkipNow"}, s.Sel.Name)
}

// hasReason reports whether the first argument can say something.
func hasReason(call *ast.CallExpr) bool {
	if len(call.Args) == 0 {
		return false
	}
	text, ok := call.Args[0].(*ast.BasicLit)
	return !ok || len(text.Value) > len(`"" `)
}

// asksForCI reports whether a function reads the variable that says that everything must run.
func (f *file) asksForCI(fn *ast.FuncDecl) bool {
	found := false
	ast.Inspect(fn, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok && len(call.Args) == 1 {
			name, ok := call.Args[0].(*ast.BasicLit)
			asks := f.named(call.Fun, "os", "Getenv") || f.named(call.Fun, "os", "LookupEnv")
			found = found || ok && asks && name.Value == `"CI"`
		}
		return !found
	})
	return found
}
