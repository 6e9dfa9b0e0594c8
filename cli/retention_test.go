package cli

import (
	"slices"
	"testing"
	"time"

	"github.com/freshet-dev/freshet/schemas"
	"github.com/freshet-dev/freshet/stream"
)

func TestOutlived(t *testing.T) {
	first, both := stream.Edition{Table: "a", Now: 1, Shown: 1}, stream.Edition{Table: "a", Now: 2, Other: 1, Shown: 1}
	promoted, alone := stream.Edition{Table: "a", Now: 2, Other: 1, Shown: 2}, stream.Edition{Table: "a", Now: 2, Shown: 2}
	b := stream.Edition{Table: "b", Now: 5, Other: 4, Shown: 5}
	bAlone := stream.Edition{Table: "b", Now: 5, Shown: 5}
	start := time.Unix(1_800_000_000, 0)
	at := func(hours int) time.Time { return start.Add(time.Duration(hours) * time.Hour) }
	for name, c := range map[string]struct {
		editions [][]stream.Edition // by revision; each an hour after the one before
		keep     time.Duration
		now      int
		kept     []stream.Edition
		due      int // 0: none
	}{
		"never run":                      {nil, time.Hour, 9, nil, 0},
		"for ever":                       {[][]stream.Edition{{promoted}}, 0, 9000, nil, 0},
		"one edition":                    {[][]stream.Edition{{first}}, time.Hour, 9, []stream.Edition{first}, 0},
		"not promoted yet":               {[][]stream.Edition{{first}, {both}}, time.Hour, 9, []stream.Edition{both}, 0},
		"promoted just now":              {[][]stream.Edition{{first}, {both}, {promoted}}, 5 * time.Hour, 3, []stream.Edition{promoted}, 7},
		"the hour has come":              {[][]stream.Edition{{first}, {both}, {promoted}}, 5 * time.Hour, 7, []stream.Edition{alone}, 0},
		"rolled back":                    {[][]stream.Edition{{first}, {both}, {promoted}, {both}}, time.Hour, 90, []stream.Edition{both}, 0},
		"promoted again":                 {[][]stream.Edition{{both}, {promoted}, {both}, {promoted}}, 5 * time.Hour, 7, []stream.Edition{promoted}, 8},
		"another table changed since":    {[][]stream.Edition{{both}, {promoted}, {promoted, b}}, 5 * time.Hour, 6, []stream.Edition{alone, b}, 7},
		"the other table's hour as well": {[][]stream.Edition{{both}, {promoted}, {promoted, b}}, 5 * time.Hour, 7, []stream.Edition{alone, bAlone}, 0},
	} {
		var all []schemas.Declaration
		for i, e := range c.editions {
			all = append(all, schemas.Declaration{Revision: int64(i + 1), Created: at(i).UnixNano(), Editions: e})
		}
		kept, due := outlived(all, c.keep, at(c.now))
		want := time.Time{}
		if c.due != 0 {
			want = at(c.due)
		}
		if !slices.Equal(kept, c.kept) || !due.Equal(want) {
			t.Errorf("%s: kept %v, the next goes %s; want %v, %s", name, kept, due, c.kept, want)
		}
	}
}
