package merge_test

import (
	"cmp"
	"fmt"
	"math/big"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/merge"
)

func TestRules(t *testing.T) {
	text, number := stream.StringOf, stream.IntOf
	at := func(seconds int64) stream.Value { return stream.TimestampOf(time.Unix(seconds, 0)) }
	cents := func(n int64, scale int) stream.Value { return stream.DecimalOf(big.NewInt(n), scale) }
	null := stream.Value{}
	for _, c := range []struct {
		rule stream.MergeRule
		from []stream.Value
		want stream.Value
	}{
		{stream.MergeFirst, []stream.Value{null, text("b"), text("a")}, text("b")},
		{stream.MergeFirst, []stream.Value{null, null}, null},
		{stream.MergeLongest, []stream.Value{text("ab"), text("üü"), text("c")}, text("ab")},
		{stream.MergeLongest, []stream.Value{null, text(""), text("é"), text("zz")}, text("zz")},
		{stream.MergeLongest, []stream.Value{stream.ListOf(number(9)), stream.ListOf(number(1), number(2))}, stream.ListOf(number(1), number(2))},
		{stream.MergeMax, []stream.Value{number(-3), number(7), null, number(7)}, number(7)},
		{stream.MergeMax, []stream.Value{stream.DoubleOf(0.5), stream.DoubleOf(-2)}, stream.DoubleOf(0.5)},
		{stream.MergeMax, []stream.Value{cents(995, 2), cents(10, 0), cents(1001, 2)}, cents(1001, 2)},
		{stream.MergeMax, []stream.Value{text("a"), text("b"), text("B")}, text("b")},
		{stream.MergeMax, []stream.Value{at(5), at(9), at(7)}, at(9)},
		{stream.MergeMax, []stream.Value{stream.BoolOf(false), stream.BoolOf(true)}, stream.BoolOf(true)},
	} {
		contributions := make([][]stream.Value, len(c.from))
		for i, v := range c.from {
			contributions[i] = []stream.Value{v}
		}
		if got := merge.Columns([]stream.MergeRule{c.rule}, contributions)[0]; !got.Equal(c.want) {
			t.Errorf("%s of %v is %v, want %v", c.rule, c.from, got, c.want)
		}
	}
}

// TestLaws: what is merged was contributed; merging what a part merges to, at the place of its first, changes nothing; and no contribution of
// nulls does.
func TestLaws(t *testing.T) {
	rules := []stream.MergeRule{stream.MergeFirst, stream.MergeLongest, stream.MergeMax}
	rapid.Check(t, func(t *rapid.T) {
		row := rapid.Custom(func(t *rapid.T) []stream.Value {
			columns := make([]stream.Value, len(rules))
			for i := range columns {
				if rapid.IntRange(0, 3).Draw(t, "null") > 0 {
					columns[i] = stream.StringOf(rapid.StringN(0, 3, -1).Draw(t, "text"))
				}
			}
			return columns
		})
		rows := rapid.SliceOfN(row, 1, 6).Draw(t, "rows")
		all := merge.Columns(rules, rows)
		for i, v := range all {
			if !slices.ContainsFunc(rows, func(r []stream.Value) bool { return r[i].Equal(v) }) {
				t.Fatalf("%v was not contributed by %v", v, rows)
			}
		}
		cut := rapid.IntRange(1, len(rows)).Draw(t, "cut")
		head := merge.Columns(rules, rows[:cut])
		if again := merge.Columns(rules, slices.Concat([][]stream.Value{head}, rows[cut:])); fmt.Sprint(again) != fmt.Sprint(all) {
			t.Fatalf("in two steps %v, in one %v", again, all)
		}
		nulls := slices.Insert(slices.Clone(rows), rapid.IntRange(0, len(rows)).Draw(t, "at"), make([]stream.Value, len(rules)))
		if with := merge.Columns(rules, nulls); fmt.Sprint(with) != fmt.Sprint(all) {
			t.Fatalf("with nulls %v, without %v", with, all)
		}
		if greatest := slices.MaxFunc(rows, func(a, b []stream.Value) int { return cmp.Compare(a[2].Str(), b[2].Str()) }); greatest[2].Str() != all[2].Str() {
			t.Fatalf("the greatest is %v, not %v", greatest[2], all[2])
		}
	})
}
