package formula

import (
	"math"
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"cel.dev/cel-go/ext"

	"github.com/freshet-dev/freshet/stream"
)

// maxRange bounds lists.range, which allocates before its cost is counted.
const maxRange = 100_000

// Names of the functions that formulas are lowered to. The @ keeps them out of reach of a formula's text.
const (
	fnNull    = "@null"
	fnSelect  = "@select"
	fnHas     = "@has"
	fnIndex   = "@index"
	fnOrdered = "@ordered"
	fnKey     = "@key"
	fnMap     = "@map"
	fnIn      = "@contains"
	fnOr      = "or"
)

// baseEnv is what all environments share: libraries and functions, without variables.
var baseEnv = sync.OnceValues(func() (*cel.Env, error) {
	env, err := cel.NewCustomEnv(append(libraries(), functions()...)...)
	if err != nil {
		return nil, stream.Errorf(stream.Internal, "set up formulas", "%w", err)
	}
	return env, settleSharedErrors(env)
})

// settleSharedErrors labels the three errors that the library returns as shared values. It would otherwise label each
// with the position of its first use, for good, and two evaluations that get there at once would race.
func settleSharedErrors(env *cel.Env) error {
	types.LabelErrNode(sharedErrorID, types.NoSuchOverloadErr())
	types.LabelErrNode(sharedErrorID, types.Int(math.MaxInt64).ConvertToType(types.TimestampType))
	overflow := build.NewCall(sharedErrorID, "math.abs", build.NewLiteral(0, types.Int(math.MinInt64)))
	program, err := env.PlanProgram(ast.NewAST(overflow, ast.NewSourceInfo(nil)))
	if err != nil {
		return stream.Errorf(stream.Internal, "set up formulas", "%w", err)
	}
	_, _, _ = program.Eval(cel.NoVars()) // fails, and so labels the error
	return nil
}

// sharedErrorID is no ID of an expression, so an error that bears it has no position of its own.
const sharedErrorID = -1

// libraries are the standard library and the extensions, each held at a version: a later one could change results.
func libraries() []cel.EnvOption {
	return []cel.EnvOption{
		cel.StdLib(),
		cel.EnableIdentifierEscapeSyntax(),
		cel.CustomTypeAdapter(adapter{}),
		ext.Strings(ext.StringsVersion(5)),
		ext.Lists(ext.ListsVersion(5), ext.ListsMaxRangeSize(maxRange)),
		ext.Math(ext.MathVersion(3)),
		ext.Sets(),
		ext.Encoders(ext.EncodersVersion(2)),
		ext.TwoVarComprehensions(),
	}
}

func functions() []cel.EnvOption {
	t, dyn, text := cel.TypeParamType("T"), cel.DynType, cel.StringType
	binary := func(name string, a, b, result *cel.Type, f func(a, b ref.Val) ref.Val) cel.EnvOption {
		return cel.Function(name, cel.Overload(name+"_2", []*cel.Type{a, b}, result, cel.BinaryBinding(f)))
	}
	unary := func(name string, f func(ref.Val) ref.Val) cel.EnvOption {
		return cel.Function(name, cel.Overload(name+"_1", []*cel.Type{dyn}, dyn, cel.UnaryBinding(f)))
	}
	return append(decimalFunctions(),
		cel.Function(fnNull, cel.Overload("@null_0", nil, dyn,
			cel.FunctionBinding(func(...ref.Val) ref.Val { return types.NullValue }))),
		cel.Function(fnOr, cel.MemberOverload("or_default", []*cel.Type{t, t}, t, cel.BinaryBinding(orDefault))),
		binary(fnSelect, dyn, text, dyn, selectField),
		binary(fnHas, dyn, text, cel.BoolType, hasField),
		binary(fnIndex, dyn, dyn, dyn, index),
		binary(fnIn, dyn, dyn, cel.BoolType, contains),
		cel.Function(fnMap, cel.Overload("@map_1", []*cel.Type{dyn}, cel.MapType(text, dyn), cel.UnaryBinding(asMap))),
		unary(fnOrdered, ordered),
		unary(fnKey, literalKey),
	)
}

// decimalFunctions declares what decimals can do. Operators dispatch to the methods of decimal.
func decimalFunctions() []cel.EnvOption {
	args := []*cel.Type{decimalType, decimalType}
	arithmetic := func(op, id string, result *cel.Type) cel.EnvOption {
		return cel.Function(op, cel.Overload(id+"_decimal", args, result))
	}
	convert := func(name string, from, to *cel.Type, f func(ref.Val) ref.Val) cel.EnvOption {
		id := from.TypeName() + "_to_" + to.TypeName()
		return cel.Function(name, cel.Overload(id, []*cel.Type{from}, to, cel.UnaryBinding(f)))
	}
	return []cel.EnvOption{
		arithmetic(operators.Add, "add", decimalType),
		arithmetic(operators.Subtract, "subtract", decimalType),
		arithmetic(operators.Multiply, "multiply", decimalType),
		arithmetic(operators.Less, "less", cel.BoolType),
		arithmetic(operators.LessEquals, "less_equals", cel.BoolType),
		arithmetic(operators.Greater, "greater", cel.BoolType),
		arithmetic(operators.GreaterEquals, "greater_equals", cel.BoolType),
		convert("string", decimalType, cel.StringType, func(v ref.Val) ref.Val { return v.ConvertToType(types.StringType) }),
		convert("double", decimalType, cel.DoubleType, func(v ref.Val) ref.Val { return v.ConvertToType(types.DoubleType) }),
		convert("decimal", cel.StringType, decimalType, parseDecimal),
		convert("decimal", cel.IntType, decimalType, decimalOfInt),
	}
}

var decimalType = types.NewOpaqueType("decimal").
	WithTraits(traits.AdderType | traits.SubtractorType | traits.MultiplierType | traits.ComparerType)
