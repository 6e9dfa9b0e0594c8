// Package merge makes one row of what several documents contribute to it.
//
// The result is a function of the set of contributions: they are taken in order of (document ID, key), whatever order they came in, and a tie is
// won by the first. Null contributes nothing.
package merge

import (
	"cmp"
	"math"
	"math/big"

	"github.com/freshet-dev/freshet/stream"
)

// Columns merges contributions, each with one value for every rule, in order of (document ID, key). There is at least one.
func Columns(rules []stream.MergeRule, contributions [][]stream.Value) []stream.Value {
	merged := make([]stream.Value, len(rules))
	for i, rule := range rules {
		for _, columns := range contributions {
			if v := columns[i]; !v.IsNull() && (merged[i].IsNull() || wins(rule, v, merged[i])) {
				merged[i] = v
			}
		}
	}
	return merged
}

// wins reports whether a later value takes the place of the one that holds it.
func wins(rule stream.MergeRule, v, held stream.Value) bool {
	switch rule {
	case stream.MergeLongest:
		return length(v) > length(held)
	case stream.MergeMax:
		return compare(v, held) > 0
	}
	return false
}

// length counts characters of text, bytes of bytes, and the elements of lists and maps.
func length(v stream.Value) int {
	switch v.Kind() {
	case stream.String:
		n := 0
		for range v.Str() {
			n++
		}
		return n
	case stream.Bytes:
		return len(v.Str())
	case stream.List, stream.Map:
		return v.Len()
	}
	return 0
}

// compare orders values of one kind; kinds among each other as they are declared, except that numbers are compared as numbers.
func compare(a, b stream.Value) int {
	x, y := number(a), number(b)
	switch {
	case x != nil && y != nil:
		return x.Cmp(y)
	case a.Kind() == stream.Double && b.Kind() == stream.Double: // one of them is no finite number
		return cmp.Compare(a.Double(), b.Double())
	case a.Kind() != b.Kind():
		return cmp.Compare(a.Kind(), b.Kind())
	}
	switch a.Kind() {
	case stream.Bool:
		return cmp.Compare(rank(a.Bool()), rank(b.Bool()))
	case stream.String, stream.Bytes:
		return cmp.Compare(a.Str(), b.Str())
	case stream.Timestamp:
		return a.Time().Compare(b.Time())
	}
	return 0
}

func rank(b bool) int {
	if b {
		return 1
	}
	return 0
}

// number is a value that is a finite number, exactly; else nil.
func number(v stream.Value) *big.Rat {
	switch v.Kind() {
	case stream.Int:
		return new(big.Rat).SetInt64(v.Int())
	case stream.Double:
		if f := v.Double(); !math.IsNaN(f) && !math.IsInf(f, 0) {
			return new(big.Rat).SetFloat64(f)
		}
	case stream.Decimal:
		unscaled, scale := v.Decimal()
		r := new(big.Rat).SetInt(unscaled)
		return r.Quo(r, new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(scale)), nil)))
	}
	return nil
}
