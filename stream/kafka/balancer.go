package kafka

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// balancer is the stock cooperative-sticky balancer; beside balancing it carries each member's control address to the
// group and tells the session what it claims and its whole assignment, whatever callbacks come or do not come.
//
// With a view of the local stores, as processors have, it places by them too: each member tells the group how far its
// stores are, and the leader's assignment tells each member what to follow (see place). Members of earlier builds say
// nothing and are told nothing: the protocol's name and the rest of the user data are the stock ones.
type balancer struct {
	kgo.GroupBalancer
	address  string
	session  membership
	held     func() map[int32]int64 // nil: place without stores
	standbys int
	lag      int64 // see place
}

// membership is told by the client itself what a member owns, partitions by topic.
type membership interface {
	claims(all map[string][]int32) // says the member that is about to join
	synced(all map[string][]int32, d duties)
}

func newBalancer(address string, m membership) *balancer {
	return &balancer{GroupBalancer: kgo.CooperativeStickyBalancer(), address: address, session: m}
}

// duties are what a member is to follow, as the leader's assignment says.
type duties struct {
	Follow  []int32 `json:"follow,omitempty"`
	Warming []int32 `json:"warming,omitempty"` // those of Follow that it is to own once they are warm
}

// Marks begin what we append to the stock user data, which ends before it. The address comes last: earlier builds take
// all that follows its mark.
const (
	heldMark    = "freshet-held="
	addressMark = "freshet-control="
)

// JoinGroupMetadata implements kgo.GroupBalancer.
func (b *balancer) JoinGroupMetadata(topics []string, current map[string][]int32, generation int32) []byte {
	b.session.claims(current)
	stock := b.GroupBalancer.JoinGroupMetadata(topics, current, generation)
	m := kmsg.NewConsumerMemberMetadata()
	if err := m.ReadFrom(stock); err != nil {
		return stock
	}
	if b.held != nil {
		m.UserData = append(m.UserData, heldMark+heldText(b.held())...)
	}
	if b.address != "" {
		m.UserData = append(m.UserData, addressMark+b.address...)
	}
	return m.AppendTo(nil)
}

// ParseSyncAssignment implements kgo.GroupBalancer.
func (b *balancer) ParseSyncAssignment(assignment []byte) (map[string][]int32, error) {
	parsed, err := b.GroupBalancer.ParseSyncAssignment(assignment)
	if err != nil {
		return nil, err
	}
	var d duties
	a := kmsg.NewConsumerMemberAssignment()
	if err := a.ReadFrom(assignment); err == nil && len(a.UserData) > 0 {
		if err := json.Unmarshal(a.UserData, &d); err != nil {
			d = duties{} // of another build; to follow nothing is always right
		}
	}
	b.session.synced(parsed, d)
	return parsed, nil
}

// MemberBalancer implements kgo.GroupBalancer.
func (b *balancer) MemberBalancer(members []kmsg.JoinGroupResponseMember) (kgo.GroupMemberBalancer, map[string]struct{}, error) {
	if b.held == nil {
		return b.GroupBalancer.MemberBalancer(members)
	}
	c, err := kgo.NewConsumerBalancer(b, members)
	return c, c.MemberTopics(), err
}

// Balance implements kgo.ConsumerBalancerBalance, for a group of one topic.
func (b *balancer) Balance(c *kgo.ConsumerBalancer, topics map[string]int32) kgo.IntoSyncAssignment {
	if len(topics) != 1 {
		c.SetError(fmt.Errorf("the group reads %d topics, want one", len(topics)))
		return nil
	}
	plan := c.NewPlan()
	told := map[string]duties{}
	for topic, partitions := range topics {
		members := groupMembers(c, topic)
		p := place(members, partitions, b.standbys, b.lag)
		for id, m := range p.owners {
			owner, _ := c.MemberAt(m)
			plan.AddPartition(owner, topic, int32(id))
		}
		for m := range members {
			x, _ := c.MemberAt(m)
			told[x.MemberID] = duties{Follow: p.follow[m], Warming: p.warming[m]}
		}
	}
	plan.AdjustCooperative(c)
	return withDuties{plan, told}
}

// groupMembers reads what the members say. A claim counts unless another member's, of a later generation, contests it.
func groupMembers(c *kgo.ConsumerBalancer, topic string) (members []member) {
	claims := map[int32]int32{} // by partition, the latest generation that claims it
	each := func(fn func(m *kmsg.JoinGroupResponseMember, generation int32, owned []int32, userData []byte)) {
		c.EachMember(func(m *kmsg.JoinGroupResponseMember, meta *kmsg.ConsumerMemberMetadata) {
			var owned []int32
			for _, t := range meta.OwnedPartitions {
				if t.Topic == topic {
					owned = append(owned, t.Partitions...)
				}
			}
			fn(m, meta.Generation, owned, meta.UserData)
		})
	}
	each(func(_ *kmsg.JoinGroupResponseMember, generation int32, owned []int32, _ []byte) {
		for _, id := range owned {
			if g, ok := claims[id]; !ok || generation > g {
				claims[id] = generation
			}
		}
	})
	each(func(m *kmsg.JoinGroupResponseMember, generation int32, owned []int32, userData []byte) {
		x := member{name: m.MemberID}
		if m.InstanceID != nil {
			x.name = *m.InstanceID
		}
		x.held, x.follows = heldOf(userData)
		for _, id := range owned {
			if claims[id] == generation {
				x.owned = append(x.owned, id)
			}
		}
		members = append(members, x)
	})
	return members
}

// withDuties is a plan that also tells each member what to follow.
type withDuties struct {
	*kgo.BalancePlan
	told map[string]duties
}

// IntoSyncAssignment implements kgo.IntoSyncAssignment.
func (w withDuties) IntoSyncAssignment() []kmsg.SyncGroupRequestGroupAssignment {
	all := w.BalancePlan.IntoSyncAssignment()
	for i := range all {
		text, err := json.Marshal(w.told[all[i].MemberID])
		if err != nil {
			continue // numbers can always be written
		}
		a := kmsg.NewConsumerMemberAssignment()
		if err := a.ReadFrom(all[i].MemberAssignment); err == nil {
			a.UserData = text
			all[i].MemberAssignment = a.AppendTo(nil)
		}
	}
	return all
}

// heldText is how far stores are, as members write it: "0:1234,3:99".
func heldText(held map[int32]int64) string {
	var text []string
	for _, id := range slices.Sorted(maps.Keys(held)) {
		text = append(text, strconv.Itoa(int(id))+":"+strconv.FormatInt(held[id], 10))
	}
	return strings.Join(text, ",")
}

// heldOf reads how far a member's stores are; false when it does not say, as earlier builds.
func heldOf(userData []byte) (map[int32]int64, bool) {
	i := bytes.LastIndex(userData, []byte(heldMark))
	if i < 0 {
		return nil, false
	}
	text, _, _ := bytes.Cut(userData[i+len(heldMark):], []byte(addressMark))
	held := map[int32]int64{}
	for part := range strings.SplitSeq(string(text), ",") {
		id, at, _ := strings.Cut(part, ":")
		n, err := strconv.ParseInt(id, 10, 32)
		offset, err2 := strconv.ParseInt(at, 10, 64)
		if err == nil && err2 == nil {
			held[int32(n)] = offset
		}
	}
	return held, true
}

// controlAddress finds the address in a member's user data; "" when there is none.
func controlAddress(userData []byte) string {
	if i := bytes.LastIndex(userData, []byte(addressMark)); i >= 0 {
		return string(userData[i+len(addressMark):])
	}
	return ""
}
