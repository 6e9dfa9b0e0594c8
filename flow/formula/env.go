package formula

import (
	"fmt"
	"regexp"
	"slices"
	"sort"

	"cel.dev/cel-go/cel"

	"github.com/freshet-dev/freshet/stream"
)

// Version is the version of the environment: it rises whenever an equal formula could give another result, and is
// part of logic fingerprints.
const Version = 1

// Var is a name that a formula may read, with the type of the values it will have.
type Var struct {
	Name string
	Type stream.Type
}

// Env compiles the formulas that may read one set of variables. It is safe for concurrent use.
type Env struct {
	vars  map[string]stream.Type
	names []string // of vars, sorted
	types *typeTable
	cel   *cel.Env
}

var identifier = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)

// reserved are the words that CEL keeps for itself, so that a variable of that name could not be read.
var reserved = []string{"as", "break", "const", "continue", "else", "false", "for", "function", "if", "import", "in", "let",
	"loop", "namespace", "null", "package", "return", "true", "var", "void", "while"}

// NewEnv returns the environment of formulas that read vars. It fails when a name is no CEL identifier, is one of CEL's
// reserved words, or comes twice.
func NewEnv(vars []Var) (*Env, error) {
	e := &Env{vars: map[string]stream.Type{}, types: newTypeTable()}
	opts := []cel.EnvOption{cel.CustomTypeProvider(e.types)}
	for _, v := range vars {
		if err := e.declare(v); err != nil {
			return nil, err
		}
		opts = append(opts, cel.Variable(v.Name, e.types.celType(v.Type)))
	}
	sort.Strings(e.names)
	base, err := baseEnv()
	if err != nil {
		return nil, err
	}
	e.cel, err = base.Extend(opts...)
	if err != nil {
		return nil, stream.Errorf(stream.Internal, "set up formulas", "%w", err)
	}
	return e, nil
}

func (e *Env) declare(v Var) error {
	problem := ""
	_, twice := e.vars[v.Name]
	switch {
	case !identifier.MatchString(v.Name):
		problem = "is no identifier: use letters, digits and _, and begin with a letter"
	case slices.Contains(reserved, v.Name):
		problem = "is a reserved word of formulas: choose another name"
	case twice:
		problem = "is declared twice"
	}
	if problem != "" {
		return stream.Errorf(stream.Usage, "declare names for formulas", "%w", fmt.Errorf("%q %s", v.Name, problem))
	}
	e.vars[v.Name] = v.Type
	e.names = append(e.names, v.Name)
	return nil
}
