package kafka

import (
	"context"
	"errors"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// handOver tells an assignment, or the positions of an intake, that it is given partitions of topic page, of which offset 33 is committed.
func handOver(t *testing.T, m interface {
	membership
	added(_ context.Context, cl *kgo.Client, added map[string][]int32)
	offsetsFetched(_ context.Context, cl *kgo.Client, resp *kmsg.OffsetFetchResponse) error
}, cl *kgo.Client, all, fresh []int32) {
	t.Helper()
	m.synced(map[string][]int32{"page": all}, duties{})
	m.added(t.Context(), cl, map[string][]int32{"page": fresh})
	topic := kmsg.OffsetFetchResponseTopic{Topic: "page"}
	for _, p := range fresh {
		topic.Partitions = append(topic.Partitions, kmsg.OffsetFetchResponseTopicPartition{Partition: p, Offset: 33})
	}
	if err := m.offsetsFetched(t.Context(), cl, &kmsg.OffsetFetchResponse{Topics: []kmsg.OffsetFetchResponseTopic{topic}}); err != nil {
		t.Fatal(err)
	}
}

// TestUntoldLoss: a transact session tells of the first loss within a transaction alone. A partition that the client does not claim any more when
// it joins anew was lost all the same: what was restored before must not be committed under the generation of after, which the group would take.
func TestUntoldLoss(t *testing.T) {
	cl, err := kgo.NewClient()
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	a, at := newAssignment("page", func() {}), newPositions(func() {})
	p := &Processor{assign: a}
	handOver(t, a, cl, []int32{0, 1}, []int32{0, 1})
	handOver(t, at, cl, []int32{0, 1}, []int32{0, 1})
	var before []*written
	for id := range int32(2) {
		before = append(before, &written{owned: &owned{id: id, epoch: a.current()[id].epoch}, progress: &kgo.Record{}})
	}
	read := func(id int32) *batch {
		return &batch{read: map[topicPartition]readTo{{"page", id}: {at.owned[topicPartition{"page", id}].epoch, 40}}}
	}
	lost, kept := read(0), read(1)
	check := func(when string) {
		t.Helper()
		if err := p.offsets(before[:1])(kmsg.NewPtrTxnOffsetCommitRequest()); !errors.Is(err, kerr.IllegalGeneration) {
			t.Errorf("%s: the commit of a lost partition gives: %v", when, err)
		}
		if err := p.offsets(before[1:])(kmsg.NewPtrTxnOffsetCommitRequest()); err != nil {
			t.Errorf("%s: the commit of a kept partition gives: %v", when, err)
		}
		if at.owns(lost) || !at.owns(kept) {
			t.Errorf("%s: the intake owns what was lost (%t), what was kept (%t)", when, at.owns(lost), at.owns(kept))
		}
	}
	for _, m := range []membership{a, at} {
		newBalancer("", m).JoinGroupMetadata([]string{"page"}, map[string][]int32{"page": {1}}, 5)
	}
	check("before the group answers")
	handOver(t, a, cl, []int32{0, 1}, []int32{0})
	handOver(t, at, cl, []int32{0, 1}, []int32{0})
	check("after it is given back")
	if got := len(a.current()); got != 2 {
		t.Errorf("%d partitions are ready, want 2", got)
	}
}
