package kafka

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

const testLag = 100

func TestPlace(t *testing.T) {
	at := func(pairs ...int64) map[int32]int64 {
		out := map[int32]int64{}
		for i := 0; i < len(pairs); i += 2 {
			out[int32(pairs[i])] = pairs[i+1]
		}
		return out
	}
	for name, c := range map[string]struct {
		members []member
		want    []int
		warming [][]int32
	}{
		"nobody has anything: spread evenly": {
			[]member{{name: "a", follows: true}, {name: "b", follows: true}}, []int{0, 1, 0, 1}, [][]int32{nil, nil}},
		"what each owns stays": {
			[]member{{name: "a", owned: []int32{1, 3}, follows: true}, {name: "b", owned: []int32{0, 2}, follows: true}}, []int{1, 0, 1, 0}, [][]int32{nil, nil}},
		"a cold member that joins warms up two first": {
			[]member{{name: "a", owned: []int32{0, 1, 2, 3}, held: at(0, 5000, 1, 5000, 2, 5000, 3, 5000), follows: true}, {name: "b", follows: true}},
			[]int{0, 0, 0, 0}, [][]int32{nil, {2, 3}}},
		"what is warm moves": {
			[]member{{name: "a", owned: []int32{0, 1, 2, 3}, held: at(0, 5000, 1, 5000, 2, 5000, 3, 5000), follows: true},
				{name: "b", held: at(0, 4950, 3, 10), follows: true}},
			[]int{1, 0, 0, 0}, [][]int32{nil, {3}}},
		"a member of an earlier build can't warm up": {
			[]member{{name: "a", owned: []int32{0, 1, 2, 3}, held: at(0, 5000, 1, 5000, 2, 5000, 3, 5000), follows: true}, {name: "b"}},
			[]int{0, 0, 1, 1}, [][]int32{nil, nil}},
		"the owner is gone: the warm one takes it, though another has room": {
			[]member{{name: "a", owned: []int32{0, 1}, held: at(0, 5000, 1, 5000, 2, 5000, 3, 4000), follows: true}, {name: "b", follows: true}},
			[]int{0, 0, 0, 0}, [][]int32{nil, {2, 3}}},
		"nobody is warm: the one with room reads all": {
			[]member{{name: "a", owned: []int32{0, 1}, held: at(0, 5000, 1, 5000), follows: true}, {name: "b", follows: true}},
			[]int{0, 0, 1, 1}, [][]int32{nil, nil}},
	} {
		p := place(c.members, 4, 0, testLag)
		if !slices.Equal(p.owners, c.want) || !slices.EqualFunc(p.warming, c.warming, slices.Equal) {
			t.Errorf("%s: owners %v, warming %v, want %v, %v", name, p.owners, p.warming, c.want, c.warming)
		}
	}
}

// TestPlaceLaws: whatever members own and hold, each partition has one owner, nothing goes to a cold member while a warm
// one is there, at most two partitions warm up, standbys are others than the owner; and once what warms up is warm, the
// group gets even and stays as it is.
func TestPlaceLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		partitions := rapid.Int32Range(1, 12).Draw(t, "partitions")
		standbys := rapid.IntRange(0, 3).Draw(t, "standbys")
		members := make([]member, rapid.IntRange(1, 6).Draw(t, "members"))
		for m := range members {
			members[m] = member{name: fmt.Sprint("replica-", m), held: map[int32]int64{}, follows: rapid.IntRange(0, 9).Draw(t, "build") > 0}
		}
		for id := range partitions {
			if owner := rapid.IntRange(-1, len(members)-1).Draw(t, "owner"); owner >= 0 {
				members[owner].owned = append(members[owner].owned, id)
			}
			for m := range members {
				if members[m].follows && rapid.Bool().Draw(t, "has a store") {
					members[m].held[id] = rapid.Int64Range(0, 400).Draw(t, "at")
				}
			}
		}
		for range 2 * partitions {
			p := place(members, partitions, standbys, testLag)
			lawful(t, members, p, partitions, standbys)
			settle(members, p)
		}
		p := place(members, partitions, standbys, testLag)
		load := make([]int, len(members))
		for id, m := range p.owners {
			load[m]++
			if !slices.Contains(members[m].owned, int32(id)) {
				t.Fatalf("partition %d still moves", id)
			}
		}
		if slices.Max(load)-slices.Min(load) > 1 {
			t.Fatalf("uneven after all: %v", load)
		}
	})
}

func lawful(t *rapid.T, members []member, p placement, partitions int32, standbys int) {
	b := newBalance(members, partitions, testLag)
	warming := 0
	for m := range members {
		warming += len(p.warming[m])
		if len(p.follow[m]) > 0 && !members[m].follows {
			t.Fatalf("%s is told to follow, which it can't", members[m].name)
		}
	}
	if warming > maxWarming {
		t.Fatalf("%d partitions warm up", warming)
	}
	for id := range partitions {
		owner, followers, able := p.owners[id], 0, 0
		for m := range members {
			if slices.Contains(p.follow[m], id) {
				followers++
			}
			if m != owner && members[m].follows {
				able++
			}
			if members[m].follows && members[owner].follows && !b.warm(owner, id) && b.warm(m, id) && !slices.Contains(members[owner].owned, id) {
				t.Fatalf("partition %d goes to %s, which is cold, where %s is warm", id, members[owner].name, members[m].name)
			}
		}
		if slices.Contains(p.follow[owner], id) {
			t.Fatalf("partition %d is followed by its owner", id)
		}
		if followers < min(standbys, able) {
			t.Fatalf("partition %d has %d followers of %d", id, followers, standbys)
		}
	}
}

// settle lets the placement come about: owners own, and who follows is as far as the best.
func settle(members []member, p placement) {
	best := newBalance(members, int32(len(p.owners)), testLag).best
	for m := range members {
		members[m].owned = nil
		for _, id := range p.follow[m] {
			members[m].held[id] = best[id]
		}
	}
	for id, m := range p.owners {
		members[m].owned = append(members[m].owned, int32(id))
		members[m].held[int32(id)] = best[id]
	}
}
