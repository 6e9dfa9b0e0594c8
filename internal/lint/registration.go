package lint

import "go/ast"

// registrationFaults finds what makes a program depend on being linked rather than on a call that one can read: init,
// imports for their side effect, and imports that hide where a name comes from.
func registrationFaults(t *Tree) []Fault {
	const rule = "registration"
	var faults []Fault
	for _, f := range t.files {
		for _, d := range f.syntax.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				faults = append(faults, f.fault(fn.Pos(), rule, "no init: initialise where it is declared, or in a constructor"))
			}
		}
		for _, spec := range f.syntax.Imports {
			switch pkg := imported(spec); {
			case spec.Name == nil, pkg == "embed": // go:embed asks for a blank import
			case spec.Name.Name == "_":
				faults = append(faults, f.fault(spec.Pos(), rule, "no blank import of %s: call a constructor from the map in cli", pkg))
			case spec.Name.Name == ".":
				faults = append(faults, f.fault(spec.Pos(), rule, "no dot import of %s: name the package", pkg))
			}
		}
	}
	return faults
}
