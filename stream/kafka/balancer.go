package kafka

import (
	"bytes"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// balancer is the stock cooperative-sticky balancer; beside balancing it carries each member's control address to the
// group and tells the session its whole assignment, whatever callbacks come or do not come.
type balancer struct {
	kgo.GroupBalancer
	address  string
	assigned func(map[string][]int32)
}

func newBalancer(address string, assigned func(map[string][]int32)) *balancer {
	return &balancer{GroupBalancer: kgo.CooperativeStickyBalancer(), address: address, assigned: assigned}
}

// addressMark begins what we append to the stock user data, which ends before it.
const addressMark = "freshet-control="

// JoinGroupMetadata implements kgo.GroupBalancer.
func (b *balancer) JoinGroupMetadata(topics []string, current map[string][]int32, generation int32) []byte {
	stock := b.GroupBalancer.JoinGroupMetadata(topics, current, generation)
	m := kmsg.NewConsumerMemberMetadata()
	if err := m.ReadFrom(stock); err != nil || b.address == "" {
		return stock
	}
	m.UserData = append(m.UserData, addressMark+b.address...)
	return m.AppendTo(nil)
}

// ParseSyncAssignment implements kgo.GroupBalancer.
func (b *balancer) ParseSyncAssignment(assignment []byte) (map[string][]int32, error) {
	parsed, err := b.GroupBalancer.ParseSyncAssignment(assignment)
	if err == nil {
		b.assigned(parsed)
	}
	return parsed, err
}

// controlAddress finds the address in a member's user data; "" when there is none.
func controlAddress(userData []byte) string {
	if i := bytes.LastIndex(userData, []byte(addressMark)); i >= 0 {
		return string(userData[i+len(addressMark):])
	}
	return ""
}
