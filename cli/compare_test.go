package cli

import (
	"math"
	"slices"
	"testing"

	"github.com/freshet-dev/freshet/control"
)

// hits are rows named by a letter for the document, then the key.
func hits(names ...string) (all []control.Hit) {
	for _, n := range names {
		all = append(all, control.Hit{Document: n[:1], Key: n[1:]})
	}
	return all
}

// TestRecall: rows and documents that the shown edition finds, and how many of them the other finds.
func TestRecall(t *testing.T) {
	var c compared
	c.add("half", hits("a1", "a2", "b1", "c1"), hits("a1", "a3", "b1", "d1"))
	c.add("nothing is wanted", nil, hits("a1"))
	q := c.Queries[0]
	if q.Rows != 0.5 || q.Documents != 2.0/3 || !slices.Equal(q.Lost, []string{"c"}) || !slices.Equal(q.Gained, []string{"d"}) {
		t.Errorf("%+v", q)
	}
	if c.Rows != 0.75 || math.Abs(c.Documents-5.0/6) > 1e-9 {
		t.Errorf("mean recall %v of rows, %v of documents", c.Rows, c.Documents)
	}
}
