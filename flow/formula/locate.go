package formula

import (
	"fmt"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/interpreter"

	"github.com/freshet-dev/freshet/stream"
)

// locate finds the step that failed, and says what was wrong with its operands when they have the wrong types.
func (f *Formula) locate(vars func(string) stream.Value, failed *types.Err) Fault {
	fault := Fault{1, 1, failed.Error()}
	state := f.trace(vars)
	step := f.failedStep(failed, state)
	if step == nil {
		return fault
	}
	fault.Line, fault.Column = position(f.lowered.SourceInfo().GetStartLocation(step.ID()))
	fault.Message = operandFault(step, state, failed.Error())
	return fault
}

// trace evaluates once more and returns the value of each step.
func (f *Formula) trace(vars func(string) stream.Value) interpreter.EvalState {
	program, err := f.env.cel.PlanProgram(f.lowered, cel.EvalOptions(cel.OptTrackState), cel.CostLimit(costLimit))
	if err != nil {
		return interpreter.NewEvalState()
	}
	_, details, _ := program.Eval(activation{vars})
	if details == nil || details.State() == nil {
		return interpreter.NewEvalState()
	}
	return details.State()
}

// failedStep returns the expression that failed: the one that the error names, or else the innermost that gave it.
func (f *Formula) failedStep(failed *types.Err, state interpreter.EvalState) ast.Expr {
	var found ast.Expr
	ast.PostOrderVisit(f.lowered.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if failed.NodeID() > 0 {
			if e.ID() == failed.NodeID() {
				found = e
			}
			return
		}
		if v, ok := state.Value(e.ID()); ok && types.IsError(v) && found == nil {
			found = e
		}
	}))
	return found
}

// operandFault completes the message of a failed call with its operands: a null one, or else their types.
func operandFault(step ast.Expr, state interpreter.EvalState, message string) string {
	if step.Kind() != ast.CallKind {
		return message
	}
	call := step.AsCall()
	args := operands(call)
	kinds := make([]string, len(args))
	for i, arg := range args {
		v, ok := state.Value(arg.ID())
		if !ok || v == nil || types.IsError(v) {
			return message
		}
		kinds[i] = typeName(v)
	}
	if i := slices.Index(kinds, "null"); i >= 0 {
		return nullFault(call.FunctionName(), args[i], kinds)
	}
	if strings.HasPrefix(call.FunctionName(), "@") { // our own functions say all
		return message
	}
	return fmt.Sprintf("%s failed on %s: %s", functionName(call.FunctionName()), strings.Join(kinds, " and "), message)
}

func nullFault(function string, operand ast.Expr, kinds []string) string {
	name, ok := written(operand)
	if !ok {
		return fmt.Sprintf("an operand of %s is null: give a default with .or(...)", functionName(function))
	}
	return fmt.Sprintf("%s is null, which %s can't take: give a default, for example %s.or(%s)", name, functionName(function),
		name, exampleDefault(function, kinds))
}

// exampleDefault suggests a default that goes with the other operands.
func exampleDefault(function string, kinds []string) string {
	if function == fnOrdered {
		return "[]"
	}
	defaults := map[string]string{"int": "0", "double": "0.0", "list": "[]", "bool": "false", "decimal": `decimal("0")`}
	for _, kind := range kinds {
		if d, ok := defaults[kind]; ok {
			return d
		}
	}
	return `""`
}

// functionName is how a formula writes a function: + rather than _+_.
func functionName(name string) string {
	if op, ok := operators.FindReverse(name); ok && op != "" {
		return op
	}
	switch name {
	case fnOrdered:
		return "iteration"
	case fnIn:
		return "in"
	case fnKey:
		return "a map's key"
	}
	return strings.TrimPrefix(name, "@") + "()"
}

// written returns the text of a lowered name or selection.
func written(e ast.Expr) (string, bool) {
	switch {
	case e.Kind() == ast.IdentKind:
		return strings.TrimPrefix(e.AsIdent(), "."), !strings.HasPrefix(e.AsIdent(), "@")
	case e.Kind() == ast.CallKind && e.AsCall().FunctionName() == fnSelect:
		operand, ok := written(e.AsCall().Args()[0])
		field, isText := e.AsCall().Args()[1].AsLiteral().(types.String)
		return operand + "." + string(field), ok && isText
	}
	return "", false
}
