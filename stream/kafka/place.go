package kafka

import (
	"cmp"
	"hash/fnv"
	"slices"
	"strconv"
)

// maxWarming is how many partitions a group warms up at the same time for members that are to own them.
const maxWarming = 2

// member is a group member as the balancer sees it.
type member struct {
	name    string          // the same over sessions, where it has such a name
	owned   []int32         // what it owns, and nobody of a later generation claims
	held    map[int32]int64 // by partition, the changelog offset that its store is at
	follows bool            // it can be told to follow a partition that another owns
}

// placement is who owns and who follows each partition; members are named by their index.
type placement struct {
	owners  []int
	follow  [][]int32 // by member: partitions to follow
	warming [][]int32 // by member: those of follow that it is to own once they are warm
}

// place spreads the partitions evenly, moving as few as possible. A partition does not go to a member that is cold while
// a warm one is there: until the cold one has warmed up as its follower, it stays where it is. Beside those that warm up,
// each partition gets so many standbys: the members that its rendezvous hash puts first, so that a member that comes or
// goes changes the standbys of few partitions.
//
// A store is warm when it is not more than lag changelog offsets behind the best one of the group.
func place(members []member, partitions int32, standbys int, lag int64) placement {
	b := newBalance(members, partitions, lag)
	b.trim()
	b.fill()
	p := placement{owners: make([]int, partitions), follow: make([][]int32, len(members)), warming: make([][]int32, len(members))}
	var cold []int32
	for id := range partitions {
		p.owners[id] = b.owner(id)
		if p.owners[id] != b.target[id] {
			cold = append(cold, id)
		}
	}
	// Those that are furthest go on first.
	slices.SortStableFunc(cold, func(x, y int32) int { return cmp.Compare(b.at(b.target[y], y), b.at(b.target[x], x)) })
	for _, id := range cold[:min(maxWarming, len(cold))] {
		m := b.target[id]
		p.warming[m] = append(p.warming[m], id)
		p.follow[m] = append(p.follow[m], id)
	}
	for id := range partitions {
		for _, m := range b.standbys(id, p.owners[id], standbys) {
			p.follow[m] = append(p.follow[m], id)
		}
	}
	for m := range members {
		slices.Sort(p.warming[m])
		slices.Sort(p.follow[m])
		p.follow[m] = slices.Compact(p.follow[m])
	}
	return p
}

// balance is a placement in the making.
type balance struct {
	members []member
	current []int // by partition, who owns it; -1: nobody
	target  []int // by partition, who is to own it in the end
	best    []int64
	load    []int // by member, partitions of target
	low     int   // partitions that every member gets
	extra   int   // members that get one more
	lag     int64
}

func newBalance(members []member, partitions int32, lag int64) *balance {
	b := &balance{members: members, lag: lag, current: make([]int, partitions), best: make([]int64, partitions), load: make([]int, len(members)),
		low: int(partitions) / len(members), extra: int(partitions) % len(members)}
	for id := range partitions {
		b.current[id], b.best[id] = -1, -1
		for m := range members {
			b.best[id] = max(b.best[id], b.at(m, id))
		}
	}
	for m, x := range members {
		for _, id := range x.owned {
			if id < partitions && b.current[id] < 0 {
				b.current[id] = m
				b.load[m]++
			}
		}
	}
	b.target = slices.Clone(b.current)
	return b
}

// at is where a member's store of a partition is; -1: it has none.
func (b *balance) at(m int, id int32) int64 {
	if at, ok := b.members[m].held[id]; ok {
		return at
	}
	return -1
}

func (b *balance) warm(m int, id int32) bool { return b.best[id]-b.at(m, id) <= b.lag }

// above is how many members have more than their share of low.
func (b *balance) above() (n int) {
	for _, load := range b.load {
		if load > b.low {
			n++
		}
	}
	return n
}

func (b *balance) room(m int) bool {
	return b.load[m] < b.low || b.load[m] == b.low && b.above() < b.extra
}

// trim takes from each member what is above its share; first what a member with room is warm for.
func (b *balance) trim() {
	for m := range b.members {
		for b.load[m] > b.low+1 || b.load[m] == b.low+1 && b.above() > b.extra {
			id := b.leaving(m)
			b.target[id] = -1
			b.load[m]--
		}
	}
}

func (b *balance) leaving(m int) (id int32) {
	id = -1
	for i := int32(len(b.target)) - 1; i >= 0; i-- {
		if b.target[i] != m {
			continue
		}
		if id < 0 {
			id = i
		}
		for other := range b.members {
			if other != m && b.load[other] <= b.low && b.warm(other, i) && b.at(other, i) >= 0 {
				return i
			}
		}
	}
	return id
}

// fill gives what nobody has to members with room: each to the one whose store is furthest; first those partitions that
// have the fewest to choose from.
func (b *balance) fill() {
	var free []int32
	for id, m := range b.target {
		if m < 0 {
			free = append(free, int32(id))
		}
	}
	choices := func(id int32) (n int) {
		for m := range b.members {
			if b.warm(m, id) {
				n++
			}
		}
		return n
	}
	slices.SortStableFunc(free, func(x, y int32) int { return cmp.Compare(choices(x), choices(y)) })
	for _, warm := range []bool{true, false} {
		for _, id := range free {
			if b.target[id] < 0 {
				b.give(id, warm)
			}
		}
	}
}

func (b *balance) give(id int32, warm bool) {
	to := -1
	for m := range b.members {
		if !b.room(m) || warm && !b.warm(m, id) {
			continue
		}
		if to < 0 || b.at(m, id) > b.at(to, id) || b.at(m, id) == b.at(to, id) && b.load[m] < b.load[to] {
			to = m
		}
	}
	if to >= 0 {
		b.target[id] = to
		b.load[to]++
	}
}

// owner is who is to own a partition now.
func (b *balance) owner(id int32) int {
	to := b.target[id]
	if b.current[id] == to || b.warm(to, id) || !b.members[to].follows {
		return to
	}
	if b.current[id] >= 0 {
		return b.current[id]
	}
	for m := range b.members {
		if b.at(m, id) > b.at(to, id) {
			to = m
		}
	}
	return to
}

// standbys are the members that follow a partition for as long as the group stays as it is.
func (b *balance) standbys(id int32, owner, n int) (out []int) {
	for m, x := range b.members {
		if m != owner && x.follows {
			out = append(out, m)
		}
	}
	slices.SortStableFunc(out, func(x, y int) int {
		return cmp.Compare(rendezvous(b.members[y].name, id), rendezvous(b.members[x].name, id))
	})
	return out[:min(n, len(out))]
}

func rendezvous(name string, id int32) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name + "/" + strconv.Itoa(int(id)))) // never fails
	x := h.Sum64()
	x ^= x >> 33 // what differs in the last byte alone differs everywhere
	x *= 0xff51afd7ed558ccd
	return x ^ x>>33
}
