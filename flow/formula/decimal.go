package formula

import (
	"fmt"
	"math/big"
	"reflect"
	"strconv"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"github.com/freshet-dev/freshet/stream"
)

// maxDecimal bounds the digits of a decimal in arithmetic, before and behind the point: sizes beyond it are faults of
// the data, and computing with them could take all memory.
const maxDecimal = 10_000

// decimal is an exact decimal number. Sums keep the larger scale, products add the scales.
type decimal struct{ v stream.Value }

func (d decimal) streamValue() stream.Value { return d.v }

// Type implements ref.Val.
func (d decimal) Type() ref.Type { return decimalType }

// Value implements ref.Val.
func (d decimal) Value() any { return d.v }

// ConvertToNative implements ref.Val.
func (d decimal) ConvertToNative(t reflect.Type) (any, error) {
	return nil, fmt.Errorf("a decimal can't be converted to %s", t)
}

// ConvertToType implements ref.Val.
func (d decimal) ConvertToType(t ref.Type) ref.Val {
	switch t {
	case types.TypeType:
		return decimalType
	case types.StringType, types.DoubleType:
		if _, _, err := d.parts(); err != nil {
			return err
		}
	}
	switch t {
	case types.StringType:
		return types.String(d.v.DecimalText())
	case types.DoubleType:
		f, err := strconv.ParseFloat(d.v.DecimalText(), 64)
		if err != nil {
			return types.NewErr("the decimal does not fit in a double")
		}
		return types.Double(f)
	}
	return types.NewErr("a decimal can't be converted to %s", t.TypeName())
}

// Equal implements ref.Val: 1.50 equals 1.5.
func (d decimal) Equal(other ref.Val) ref.Val {
	o, ok := other.(decimal)
	if !ok {
		return types.False
	}
	a, b, _, err := aligned(d, o)
	if err != nil {
		return types.Bool(d.v.Equal(o.v))
	}
	return types.Bool(a.Cmp(b) == 0)
}

// Compare implements traits.Comparer.
func (d decimal) Compare(other ref.Val) ref.Val {
	return d.with(other, func(a, b *big.Int, _ int) ref.Val { return types.Int(a.Cmp(b)) })
}

// Add implements traits.Adder.
func (d decimal) Add(other ref.Val) ref.Val {
	return d.with(other, func(a, b *big.Int, scale int) ref.Val {
		return decimal{stream.DecimalOf(a.Add(a, b), scale)}
	})
}

// Subtract implements traits.Subtractor.
func (d decimal) Subtract(other ref.Val) ref.Val {
	return d.with(other, func(a, b *big.Int, scale int) ref.Val {
		return decimal{stream.DecimalOf(a.Sub(a, b), scale)}
	})
}

// Multiply implements traits.Multiplier.
func (d decimal) Multiply(other ref.Val) ref.Val {
	o, ok := other.(decimal)
	if !ok {
		return types.NewErr("a decimal and a %s can't be multiplied: convert with decimal() or double()", typeName(other))
	}
	a, scaleA, err := d.parts()
	if err != nil {
		return err
	}
	b, scaleB, err := o.parts()
	if err != nil {
		return err
	}
	return decimal{stream.DecimalOf(a.Mul(a, b), scaleA+scaleB)}
}

// with calls f with both numbers brought to one scale.
func (d decimal) with(other ref.Val, f func(a, b *big.Int, scale int) ref.Val) ref.Val {
	o, ok := other.(decimal)
	if !ok {
		return types.NewErr("a decimal and a %s don't go together: convert with decimal() or double()", typeName(other))
	}
	a, b, scale, err := aligned(d, o)
	if err != nil {
		return err
	}
	return f(a, b, scale)
}

func aligned(d, o decimal) (a, b *big.Int, scale int, err ref.Val) {
	a, scaleA, err := d.parts()
	if err != nil {
		return nil, nil, 0, err
	}
	b, scaleB, err := o.parts()
	if err != nil {
		return nil, nil, 0, err
	}
	scale = max(scaleA, scaleB)
	return raise(a, scale-scaleA), raise(b, scale-scaleB), scale, nil
}

func raise(x *big.Int, by int) *big.Int {
	if by == 0 {
		return x
	}
	return x.Mul(x, new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(by)), nil))
}

// parts returns a copy of the unscaled number, and the scale; an error value when either is too large to compute with.
func (d decimal) parts() (*big.Int, int, ref.Val) {
	u, scale := d.v.Decimal()
	if scale > maxDecimal || scale < -maxDecimal || u.BitLen() > 4*maxDecimal {
		return nil, 0, types.NewErr("a decimal has more than %d digits", maxDecimal)
	}
	return u, scale, nil
}

func parseDecimal(text ref.Val) ref.Val {
	s, ok := text.(types.String)
	if !ok || len(s) > maxDecimal {
		return types.NewErr("decimal() takes at most %d digits", maxDecimal)
	}
	v, ok := stream.ParseDecimal(string(s))
	if !ok {
		return types.NewErr("%q is no decimal number: write digits such as -12.50", string(s))
	}
	return decimal{v}
}

func decimalOfInt(n ref.Val) ref.Val {
	i, ok := n.(types.Int)
	if !ok {
		return types.NewErr("decimal() takes a string or an int, not a %s", typeName(n))
	}
	return decimal{stream.DecimalOf(big.NewInt(int64(i)), 0)}
}
