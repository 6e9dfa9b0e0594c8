package formula

import (
	"fmt"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common"
	"cel.dev/cel-go/common/ast"

	"github.com/freshet-dev/freshet/stream"
)

// Fault is one fault in a formula, found when it was compiled or evaluated. Line and Column are 1-based, within the
// formula's text, columns in characters.
type Fault struct {
	Line, Column int
	Message      string
}

// Error implements error.
func (f Fault) Error() string { return fmt.Sprintf("%d:%d: %s", f.Line, f.Column, f.Message) }

// Formula is a compiled formula. It is safe for concurrent use.
type Formula struct {
	checked *ast.AST
	lowered *ast.AST
	typ     stream.Type
	program cel.Program
	plain   *plain // set when the formula only selects fields
	env     *Env
}

// Type returns the type of the formula's results; dynamic when it is not known before evaluation.
func (f *Formula) Type() stream.Type { return f.typ }

// Compile parses and checks a formula. Either there is a formula, or there are faults, sorted by position.
func (e *Env) Compile(src string) (*Formula, []Fault) {
	parsed, issues := e.cel.Parse(src)
	if issues.Err() != nil {
		return nil, e.faults(issues, nil)
	}
	e.prepare(parsed.NativeRep())
	hints := e.hints(parsed.NativeRep())
	checked, issues := e.cel.Check(parsed)
	if issues.Err() != nil {
		return nil, e.faults(issues, hints)
	}
	return e.plan(checked.NativeRep())
}

func (e *Env) plan(checked *ast.AST) (*Formula, []Fault) {
	f := &Formula{checked: checked, env: e, lowered: lowered(checked), plain: plainOf(checked.Expr())}
	f.typ = (&inference{env: e, tree: checked}).result()
	if _, ok := e.types.streamType(checked.GetType(checked.Expr().ID())); !ok {
		return nil, []Fault{{1, 1, fmt.Sprintf("the result is a %s, which is no value of a flow: convert it, for example with string()",
			displayType(cel.FormatCELType(checked.GetType(checked.Expr().ID()))))}}
	}
	var err error
	f.program, err = e.cel.PlanProgram(f.lowered, programOptions(f.lowered)...)
	if err != nil {
		return nil, []Fault{{1, 1, displayType(err.Error())}}
	}
	return f, nil
}

// faults turns the library's issues into faults, each with the hint for its expression when there is one.
func (e *Env) faults(issues *cel.Issues, hints map[int64]Fault) []Fault {
	var out []Fault
	seen := map[Fault]bool{}
	for _, issue := range issues.Errors() {
		f, ok := hints[issue.ExprID]
		if !ok {
			f = Fault{Message: displayType(issue.Message)}
			f.Line, f.Column = position(issue.Location)
		}
		if !seen[f] {
			seen[f] = true
			out = append(out, f)
		}
	}
	sortFaults(out)
	return out
}

// position turns the library's location (lines from 1, columns from 0, -1 when unknown) into ours.
func position(l common.Location) (line, column int) { return max(l.Line(), 1), max(l.Column(), 0) + 1 }

// displayType writes CEL's names of types as flow files do.
func displayType(message string) string {
	return strings.NewReplacer("google.protobuf.Timestamp", "timestamp", "google.protobuf.Duration", "duration").Replace(message)
}
