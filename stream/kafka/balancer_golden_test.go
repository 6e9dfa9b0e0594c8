package kafka

import (
	"bytes"
	"encoding/hex"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// goldenUserData is what a member of the first format said when it joined: its topics, what it owned, its address.
const goldenUserData = "testdata/golden/join-1.hex"

// TestGoldenUserData: members of the first format and of today's are in one group while replicas are replaced one by one.
// Each side reads what the other says: which partitions a member owns, and where its control HTTP is.
func TestGoldenUserData(t *testing.T) {
	text, err := os.ReadFile(goldenUserData)
	if err != nil {
		t.Fatal(err)
	}
	first, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	const address = "127.0.0.1:4711"
	owned := map[string][]int32{"page": {0, 2}}
	today := newBalancer(address, ignored{})
	placing := newBalancer(address, ignored{})
	placing.held = func() map[int32]int64 { return map[int32]int64{0: 1200, 1: 7} }
	for name, said := range map[string][]byte{"the first format": first, "today's format": today.JoinGroupMetadata([]string{"page"}, owned, 5),
		"today's format, with stores": placing.JoinGroupMetadata([]string{"page"}, owned, 5)} {
		m := kmsg.NewConsumerMemberMetadata()
		if err := m.ReadFrom(said); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := controlAddress(m.UserData); got != address {
			t.Errorf("%s: today's reader finds the address %q", name, got)
		}
		// What the first format's reader does: all after the last mark is the address.
		if i := bytes.LastIndex(m.UserData, []byte("freshet-control=")); i < 0 || string(m.UserData[i+len("freshet-control="):]) != address {
			t.Errorf("%s: the first format's reader finds no address at the end of %q", name, m.UserData)
		}
		if !slices.Equal(m.Topics, []string{"page"}) || len(m.OwnedPartitions) != 1 || !slices.Equal(m.OwnedPartitions[0].Partitions, []int32{0, 2}) {
			t.Errorf("%s: topics %v, owned %+v", name, m.Topics, m.OwnedPartitions)
		}
		keeps(t, name, said)
	}
}

// ignored is a session that wants to know nothing.
type ignored struct{}

func (ignored) claims(map[string][]int32)         {}
func (ignored) synced(map[string][]int32, duties) {}

// keeps: whoever leads, with the balancer of either format, leaves a member what it owns.
func keeps(t *testing.T, name string, said []byte) {
	t.Helper()
	newcomer := kgo.CooperativeStickyBalancer().JoinGroupMetadata([]string{"page"}, nil, -1)
	placing := newBalancer("", ignored{})
	placing.held = func() map[int32]int64 { return nil }
	for leader, b := range map[string]kgo.GroupBalancer{"the first format": kgo.CooperativeStickyBalancer(), "today's format": newBalancer("", ignored{}),
		"today's format, with stores": placing} {
		balancer, _, err := b.MemberBalancer([]kmsg.JoinGroupResponseMember{{MemberID: "a", ProtocolMetadata: said}, {MemberID: "b", ProtocolMetadata: newcomer}})
		if err != nil {
			t.Errorf("%s: a leader of %s can't read it: %v", name, leader, err)
			continue
		}
		plan, err := balancer.(kgo.GroupMemberBalancerOrError).BalanceOrError(map[string]int32{"page": 4})
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range plan.IntoSyncAssignment() {
			m := kmsg.NewConsumerMemberAssignment()
			if err := m.ReadFrom(a.MemberAssignment); err != nil {
				t.Fatal(err)
			}
			if a.MemberID == "a" && (len(m.Topics) != 1 || !slices.Equal(m.Topics[0].Partitions, []int32{0, 2})) {
				t.Errorf("%s, led by %s: the member keeps %+v of partitions 0 and 2", name, leader, m.Topics)
			}
		}
	}
}
