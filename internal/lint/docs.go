package lint

import (
	"go/ast"
	"go/token"
	"path"
	"strings"
)

const docRule = "docs"

// docFaults finds exported names without a comment, and packages without one. Tests need none, nor do methods of types
// that are not exported; fields and the methods of interfaces may be covered by the comment of their type.
func docFaults(t *Tree) []Fault {
	var faults []Fault
	packages := map[string]*file{} // the first file of each, until one with a comment turns up
	for _, f := range t.files {
		if f.test || f.generated {
			continue
		}
		key := path.Join(f.dir, f.syntax.Name.Name)
		if _, seen := packages[key]; !seen || written(f.syntax.Doc) {
			packages[key] = f
		}
		for _, d := range f.syntax.Decls {
			faults = append(faults, f.undocumented(d)...)
		}
	}
	for _, f := range packages {
		if !written(f.syntax.Doc) {
			faults = append(faults, f.fault(f.syntax.Package, docRule,
				"package %s has no comment: say its purpose, then the invariants it upholds", f.syntax.Name.Name))
		}
	}
	return faults
}

// written reports whether a comment says something; directives don't count.
func written(c *ast.CommentGroup) bool { return strings.TrimSpace(c.Text()) != "" }

// undocumented finds the exported names of a declaration that no comment covers.
func (f *file) undocumented(d ast.Decl) []Fault {
	var faults []Fault
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Name.IsExported() && receiverExported(d) && !written(d.Doc) {
			faults = append(faults, f.noComment(d.Name))
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			faults = append(faults, f.undocumentedSpec(d, spec)...)
		}
	}
	return faults
}

// receiverExported is true for functions too.
func receiverExported(d *ast.FuncDecl) bool {
	if d.Recv == nil || len(d.Recv.List) == 0 {
		return true
	}
	return ast.IsExported(typeName(d.Recv.List[0].Type))
}

// typeName is the name of a receiver's type, without pointer and type parameters.
func typeName(x ast.Expr) string {
	switch x := x.(type) {
	case *ast.StarExpr:
		return typeName(x.X)
	case *ast.IndexExpr:
		return typeName(x.X)
	case *ast.IndexListExpr:
		return typeName(x.X)
	case *ast.Ident:
		return x.Name
	}
	return ""
}

// undocumentedSpec looks at one type, or at one line of constants or variables; those share their group's comment.
func (f *file) undocumentedSpec(d *ast.GenDecl, spec ast.Spec) []Fault {
	var faults []Fault
	switch spec := spec.(type) {
	case *ast.TypeSpec:
		if !spec.Name.IsExported() {
			return nil
		}
		alone := d.Lparen == token.NoPos
		if !written(spec.Doc) && !written(spec.Comment) && (!alone || !written(d.Doc)) {
			faults = append(faults, f.noComment(spec.Name))
		}
	case *ast.ValueSpec:
		for _, name := range spec.Names {
			if name.IsExported() && !written(d.Doc) && !written(spec.Doc) && !written(spec.Comment) {
				faults = append(faults, f.noComment(name))
			}
		}
	}
	return faults
}

func (f *file) noComment(name *ast.Ident) Fault {
	return f.fault(name.Pos(), docRule, "%s has no comment: say its contract (units, errors, who owns memory, concurrency)", name.Name)
}
