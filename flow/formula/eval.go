package formula

import (
	"errors"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/interpreter"

	"github.com/freshet-dev/freshet/stream"
)

// costLimit bounds the steps of one evaluation, as CEL counts them: about one for each operation and each element or
// tenth character that it touches.
const costLimit = 10_000_000

// Eval computes the formula. vars gives the value of a variable by name, and may be called several times for one.
//
// It fails with a *stream.Error of kind Invalid, in whose chain there is a Fault with the position in the formula.
func (f *Formula) Eval(vars func(name string) stream.Value) (stream.Value, error) {
	if f.plain != nil {
		if v, ok := f.plain.of(vars(f.plain.name)); ok {
			return v, nil
		}
	}
	out, _, err := f.program.Eval(activation{vars})
	if err != nil {
		return stream.Value{}, f.explain(vars, err)
	}
	v, err := native(out)
	if err != nil {
		return stream.Value{}, failure(stream.Invalid, Fault{1, 1, err.Error()})
	}
	return v, nil
}

func failure(kind stream.ErrorKind, f Fault) error {
	return &stream.Error{Op: "evaluate formula", Kind: kind, Err: f}
}

// activation gives the interpreter the variables.
type activation struct{ vars func(string) stream.Value }

// ResolveName implements cel.Activation.
func (a activation) ResolveName(name string) (any, bool) {
	if name[0] == '@' { // a name made by a macro is bound by its comprehension or not at all
		return nil, false
	}
	return adapt(a.vars(name)), true
}

// Parent implements cel.Activation.
func (a activation) Parent() cel.Activation { return nil }

// programOptions: the cost of a formula that does not iterate is bounded by its length, so only others are counted.
func programOptions(tree *ast.AST) []cel.ProgramOption {
	options := []cel.ProgramOption{cel.EvalOptions(cel.OptOptimize)}
	if iterates(tree.Expr()) {
		options = append(options, cel.CostLimit(costLimit))
	}
	return options
}

func iterates(e ast.Expr) bool {
	found := e.Kind() == ast.ComprehensionKind
	children(e, nil, func(child ast.Expr, _ *scope) { found = found || iterates(child) })
	return found
}

// explain turns the library's error into ours: it runs the formula again with every step recorded, to find what failed.
func (f *Formula) explain(vars func(string) stream.Value, err error) error {
	var cancelled interpreter.EvalCancelledError
	if errors.As(err, &cancelled) {
		return failure(stream.Invalid, Fault{1, 1, "the formula took too many steps (the limit is 10 million): " +
			"iterate over less, or filter first"})
	}
	var failed *types.Err
	if !errors.As(err, &failed) {
		return failure(stream.Internal, Fault{1, 1, err.Error()})
	}
	return failure(stream.Invalid, f.locate(vars, failed))
}
