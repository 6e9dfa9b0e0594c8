package lint

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"strconv"
	"strings"
)

// module is the import path of the repository's root.
const module = "github.com/freshet-dev/freshet"

// Tree is a parsed checkout of the module. It isn't changed after Load.
type Tree struct {
	fsys   fs.FS
	files  []*file
	tops   []string // directories at the root, except hidden ones and build output
	design []byte   // DESIGN.md at the root; nil when there is none
}

// file is one Go source.
type file struct {
	path      string // slash-separated, relative to the root
	dir       string
	lines     int
	test      bool // compiled into tests only
	generated bool
	syntax    *ast.File
	set       *token.FileSet
}

// Load parses every Go file below fsys, whatever its build tags. Hidden directories, testdata, bin and modules of their
// own are left out. It fails when a file can't be read or parsed.
func Load(fsys fs.FS) (*Tree, error) {
	t := &Tree{fsys: fsys}
	set := token.NewFileSet()
	err := fs.WalkDir(fsys, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return fmt.Errorf("read the source tree: %w", err)
		case entry.IsDir():
			return t.enter(fsys, name)
		case path.Ext(name) != ".go":
			return nil
		}
		f, err := parse(fsys, set, name)
		t.files = append(t.files, f)
		return err
	})
	if err != nil {
		return nil, err
	}
	t.design, err = fs.ReadFile(fsys, "DESIGN.md")
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return t, err
}

// enter notes a top directory, or says that a directory holds nothing of the module.
func (t *Tree) enter(fsys fs.FS, name string) error {
	base := path.Base(name)
	switch {
	case name == ".":
		return nil
	case base[0] == '.', base == "testdata", name == "bin":
		return fs.SkipDir
	case !strings.Contains(name, "/"):
		t.tops = append(t.tops, name)
	}
	if _, err := fs.Stat(fsys, path.Join(name, "go.mod")); err == nil {
		return fs.SkipDir
	}
	return nil
}

func parse(fsys fs.FS, set *token.FileSet, name string) (*file, error) {
	source, err := fs.ReadFile(fsys, name)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	syntax, err := parser.ParseFile(set, name, source, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, fmt.Errorf("parse %s: %w", name, err)
	}
	return &file{
		path: name, dir: path.Dir(name), lines: bytes.Count(source, []byte("\n")),
		test: strings.HasSuffix(name, "_test.go"), generated: ast.IsGenerated(syntax),
		syntax: syntax, set: set,
	}, nil
}

// fault reports a place in the file.
func (f *file) fault(at token.Pos, rule, format string, args ...any) Fault {
	return Fault{f.path, f.set.Position(at).Line, rule, fmt.Sprintf(format, args...)}
}

// imported is the path of an import.
func imported(spec *ast.ImportSpec) string {
	text, _ := strconv.Unquote(spec.Path.Value) // the parser has checked it
	return text
}

// named reports whether x is the name of a package's member, whatever the file calls the package.
func (f *file) named(x ast.Node, pkg, member string) bool {
	s, ok := x.(*ast.SelectorExpr)
	if !ok || s.Sel.Name != member {
		return false
	}
	name, ok := s.X.(*ast.Ident)
	return ok && name.Name == f.nameOf(pkg)
}

// nameOf is what the file calls an imported package; empty when it doesn't import it.
func (f *file) nameOf(pkg string) string {
	for _, spec := range f.syntax.Imports {
		if imported(spec) == pkg {
			if spec.Name != nil {
				return spec.Name.Name
			}
			return path.Base(pkg)
		}
	}
	return ""
}
