package topic

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestSorted: whatever fits into memory, entries come in order, the last of each row and partition by offset, and two sorters
// are joined as two sorted lists are.
func TestSorted(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		left, leftWant := drawSorter(r, "left", 3)
		right, rightWant := drawSorter(r, "right", 1)
		defer left.close()
		defer right.close()
		var got, want []string
		for p, err := range joined(left, right) {
			if err != nil {
				r.Fatal(err)
			}
			got = append(got, said(p.left)+" | "+said(p.right))
		}
		met := map[int]bool{}
		for _, l := range leftWant {
			i := slices.IndexFunc(rightWant, func(e entry) bool { return e.compareRow(&l) == 0 })
			if met[i] = true; i < 0 {
				want = append(want, said(&l)+" | none")
				continue
			}
			want = append(want, said(&l)+" | "+said(&rightWant[i]))
		}
		for i := range rightWant {
			if !met[i] {
				want = append(want, "none | "+said(&rightWant[i]))
			}
		}
		inOrder := slices.Clone(got)
		slices.Sort(inOrder)
		slices.Sort(want)
		if !slices.Equal(inOrder, want) {
			r.Fatalf("joined: %q, want %q", got, want)
		}
	})
}

func said(e *entry) string {
	if e == nil {
		return "none"
	}
	return fmt.Sprintf("%d/%s/%s/%s p%d @%d %v %s", e.Table, e.Document, e.Key, e.Foreign, e.Partition, e.Offset, e.Dead, e.Value)
}

// drawSorter fills a sorter, and says what it should give.
func drawSorter(r *rapid.T, name string, partitions int) (*sorter, []entry) {
	s := newSorter()
	s.limit = rapid.IntRange(1, 2000).Draw(r, name+" bytes in memory")
	last := map[string]entry{}
	for i := range rapid.IntRange(0, 40).Draw(r, name+" entries") {
		e := entry{Table: rapid.IntRange(0, 1).Draw(r, "table"), Document: fmt.Sprint(rapid.IntRange(0, 3).Draw(r, "document")),
			Key: fmt.Sprint(rapid.IntRange(0, 2).Draw(r, "key")), Partition: int32(rapid.IntRange(0, partitions-1).Draw(r, "partition")),
			Offset: int64(rapid.IntRange(0, 5).Draw(r, "offset"))*100 + int64(i), Dead: rapid.Bool().Draw(r, "dead"), Value: []byte("v")}
		if rapid.IntRange(0, 9).Draw(r, "foreign") == 0 {
			e.Document, e.Key, e.Foreign = "", "", []byte("f")
		}
		if err := s.add(e); err != nil {
			r.Fatal(err)
		}
		id := fmt.Sprintf("%d/%s/%s/%s/%d", e.Table, e.Document, e.Key, e.Foreign, e.Partition)
		if held, found := last[id]; !found || held.Offset < e.Offset {
			last[id] = e
		}
	}
	var want []entry
	for _, e := range last {
		want = append(want, e)
	}
	slices.SortFunc(want, func(a, b entry) int { return a.compare(&b) })
	return s, want
}
