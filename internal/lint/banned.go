package lint

import (
	"go/ast"
	"path"
	"regexp"
	"strings"
)

// sleepFaults finds time.Sleep. In a bubble of testing/synctest it costs no time, and is allowed.
func sleepFaults(t *Tree) []Fault {
	var faults []Fault
	for _, f := range t.files {
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok && f.named(call.Fun, "testing/synctest", "Test") {
				return false
			}
			if f.named(n, "time", "Sleep") {
				faults = append(faults, f.fault(n.Pos(), "sleep",
					"no time.Sleep: wait for a condition or a channel, or use virtual time (testing/synctest)"))
			}
			return true
		})
	}
	return faults
}

// contextFaults finds contexts that nobody above can end, and contexts kept in structs.
func contextFaults(t *Tree) []Fault {
	var faults []Fault
	for _, f := range t.files {
		root := f.test || f.syntax.Name.Name == "main" && path.Base(f.path) == "main.go"
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			if !root && (f.named(n, "context", "Background") || f.named(n, "context", "TODO")) {
				faults = append(faults, f.fault(n.Pos(), "context",
					"only main.go and tests make a root context: take one as the first parameter (context.WithoutCancel outlives it)"))
			}
			if s, ok := n.(*ast.StructType); ok && !f.test {
				faults = append(faults, f.contextFields(s)...)
			}
			return true
		})
	}
	return faults
}

func (f *file) contextFields(s *ast.StructType) []Fault {
	var faults []Fault
	for _, field := range s.Fields.List {
		if f.named(field.Type, "context", "Context") {
			faults = append(faults, f.fault(field.Pos(), "context", "no context in a struct: pass it to the call that blocks"))
		}
	}
	return faults
}

// untypedFaults finds maps of anything in the engine and its store, where one typed value with one encoding goes.
func untypedFaults(t *Tree) []Fault {
	var faults []Fault
	for _, f := range t.files {
		if f.test || first(f.dir) != "stream" && first(f.dir) != "statestore" {
			continue
		}
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			if m, ok := n.(*ast.MapType); ok && isName(m.Key, "string") && isAny(m.Value) {
				faults = append(faults, f.fault(m.Pos(), "untyped", "no map of string to any in the engine: use stream.Value"))
			}
			return true
		})
	}
	return faults
}

func isName(x ast.Expr, name string) bool {
	id, ok := x.(*ast.Ident)
	return ok && id.Name == name
}

func isAny(x ast.Expr) bool {
	i, empty := x.(*ast.InterfaceType)
	return isName(x, "any") || empty && i.Methods.NumFields() == 0
}

var (
	note    = regexp.MustCompile(`\b(TODO|FIXME|XXX)\b`)
	promise = regexp.MustCompile(`(?i)\bnot[ ](yet[ ])?implemented\b|\bunimplemented\b`)
)

// unfinishedFaults finds notes to oneself in comments, and code that says it is missing.
func unfinishedFaults(t *Tree) []Fault {
	const rule = "unfinished"
	var faults []Fault
	for _, f := range t.files {
		for _, group := range f.syntax.Comments {
			for _, c := range group.List {
				if word := note.FindString(c.Text) + promise.FindString(c.Text); word != "" {
					faults = append(faults, f.fault(c.Pos(), rule, "%q in a comment: do it, or open an issue", word))
				}
			}
		}
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			if s, ok := n.(*ast.BasicLit); ok && promise.MatchString(s.Value) {
				faults = append(faults, f.fault(n.Pos(), rule, "%s: build it, or refuse with what the user can do instead", strings.Trim(s.Value, "\"`")))
			}
			return true
		})
	}
	return faults
}
