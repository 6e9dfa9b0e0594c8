package lint

import (
	"go/ast"
	"slices"
)

// Upper bounds; the aim is a file of 80 to 200 lines and a function of about 10 (STYLE: sizes).
const (
	maxFile     = 500
	maxFunction = 80
)

// sizeFaults finds files and functions that are too long, in tests too. Generated files have no bound.
func sizeFaults(t *Tree) []Fault {
	var faults []Fault
	for _, f := range t.files {
		if f.generated {
			continue
		}
		if f.lines > maxFile {
			faults = append(faults, Fault{f.path, maxFile + 1, "size", "the file is longer than 500 lines: divide it by subject"})
		}
		for _, fn := range f.functions() {
			if n := f.length(fn); n > maxFunction {
				faults = append(faults, f.fault(fn.Pos(), "size", "%s has %d lines, above %d: give its steps names", fn.Name.Name, n, maxFunction))
			}
		}
	}
	return faults
}

// Medians are the middle lengths, in lines, of the files and of the functions that are not tests.
func Medians(t *Tree) (files, functions int) {
	var fileLines, functionLines []int
	for _, f := range t.files {
		if f.test || f.generated {
			continue
		}
		fileLines = append(fileLines, f.lines)
		for _, fn := range f.functions() {
			functionLines = append(functionLines, f.length(fn))
		}
	}
	return median(fileLines), median(functionLines)
}

func median(values []int) int {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// functions are the functions and methods that the file declares.
func (f *file) functions() []*ast.FuncDecl {
	var all []*ast.FuncDecl
	for _, d := range f.syntax.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok {
			all = append(all, fn)
		}
	}
	return all
}

// length is a function's lines, from its signature to its closing brace.
func (f *file) length(fn *ast.FuncDecl) int {
	return f.set.Position(fn.End()).Line - f.set.Position(fn.Pos()).Line + 1
}
