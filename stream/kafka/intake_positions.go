package kafka

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// topicPartition names one partition of a source's topic.
type topicPartition struct {
	topic     string
	partition int32
}

// positions are the partitions that an intake owns, and how far each is. What is owned is what the group's last sync
// said, as for processors (see assignment).
type positions struct {
	mu     sync.Mutex
	owned  map[topicPartition]*position
	joined bool // the group has said what is owned
	epoch  int  // of the last partition that was handed over
	wake   func()
}

// position is how far one owned partition is. A partition that leaves and comes back has another epoch.
type position struct {
	epoch     int
	committed int64 // next offset as committed; -1: none
	first     int64 // first offset read; -1: none read
	next      int64 // next offset to read, all before it being committed or of control; -1: the log's start
	known     bool  // the group has said what is committed
}

// batch is what one poll returned.
type batch struct {
	records []*kgo.Record // without those of control
	read    map[topicPartition]readTo
}

type readTo struct {
	epoch int
	next  int64
}

func newPositions(wake func()) *positions {
	return &positions{owned: map[topicPartition]*position{}, wake: wake}
}

func (a *positions) reset() {
	a.mu.Lock()
	defer a.mu.Unlock()
	clear(a.owned)
	a.joined = false
}

func (a *positions) own(tp topicPartition) {
	a.epoch++
	a.owned[tp] = &position{epoch: a.epoch, committed: -1, first: -1, next: -1}
}

// claims is told what the member says that it owns, before it asks to join (see assignment).
func (a *positions) claims(all map[string][]int32) {
	a.mu.Lock()
	defer a.mu.Unlock()
	maps.DeleteFunc(a.owned, func(tp topicPartition, _ *position) bool { return !slices.Contains(all[tp.topic], tp.partition) })
}

// synced is told the whole assignment.
func (a *positions) synced(all map[string][]int32, _ duties) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.joined = true
	now := map[topicPartition]bool{}
	for topic, parts := range all {
		for _, p := range parts {
			tp := topicPartition{topic, p}
			if now[tp] = true; a.owned[tp] == nil {
				a.own(tp)
			}
		}
	}
	maps.DeleteFunc(a.owned, func(tp topicPartition, _ *position) bool { return !now[tp] })
}

func (a *positions) added(_ context.Context, _ *kgo.Client, added map[string][]int32) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for topic, parts := range added {
		for _, p := range parts {
			a.own(topicPartition{topic, p})
		}
	}
}

func (a *positions) removed(_ context.Context, _ *kgo.Client, removed map[string][]int32) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for topic, parts := range removed {
		for _, p := range parts {
			delete(a.owned, topicPartition{topic, p})
		}
	}
	a.wake()
}

// offsetsFetched notes the committed offsets.
func (a *positions) offsetsFetched(_ context.Context, _ *kgo.Client, resp *kmsg.OffsetFetchResponse) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	note := func(topic string, partition int32, offset int64, code int16) {
		at := a.owned[topicPartition{topic, partition}]
		if code != 0 || at == nil {
			return // the client asks again
		}
		at.committed, at.next, at.known = max(offset, -1), max(offset, -1), true
	}
	for _, g := range resp.Groups {
		for _, t := range g.Topics {
			for _, p := range t.Partitions {
				note(t.Topic, p.Partition, p.Offset, p.ErrorCode)
			}
		}
	}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			note(t.Topic, p.Partition, p.Offset, p.ErrorCode)
		}
	}
	return nil
}

// batch takes what was polled of owned partitions.
func (a *positions) batch(fetches kgo.Fetches) *batch {
	a.mu.Lock()
	defer a.mu.Unlock()
	b := &batch{read: map[topicPartition]readTo{}}
	fetches.EachRecord(func(r *kgo.Record) {
		tp := topicPartition{r.Topic, r.Partition}
		at := a.owned[tp]
		if at == nil || r.Offset < at.committed {
			return // it left meanwhile: the transaction's end notices the same
		}
		if at.first < 0 {
			at.first = r.Offset
		}
		b.read[tp] = readTo{at.epoch, r.Offset + 1}
		if !r.Attrs.IsControl() {
			b.records = append(b.records, r)
		}
	})
	return b
}

// owns reports whether every partition of the batch was owned without a break since it was read.
func (a *positions) owns(b *batch) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for tp, read := range b.read {
		if at := a.owned[tp]; at == nil || at.epoch != read.epoch {
			return false
		}
	}
	return true
}

// passed notes that a batch is done: committed, or of control records alone, which need no commit.
func (a *positions) passed(b *batch) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for tp, read := range b.read {
		if at := a.owned[tp]; at != nil && at.epoch == read.epoch {
			if at.next = read.next; len(b.records) > 0 {
				at.committed = read.next
			}
		}
	}
}

// rewind is where owned partitions of which something was read go on after an abort: where they are committed. The
// client itself does not know where a partition without a committed offset began.
func (a *positions) rewind() map[string]map[int32]kgo.EpochOffset {
	a.mu.Lock()
	defer a.mu.Unlock()
	to := map[string]map[int32]kgo.EpochOffset{}
	for tp, at := range a.owned {
		from := at.committed
		if from < 0 {
			from = at.first
		}
		if from < 0 {
			continue
		}
		at.next = from
		if to[tp.topic] == nil {
			to[tp.topic] = map[int32]kgo.EpochOffset{}
		}
		to[tp.topic][tp.partition] = kgo.EpochOffset{Epoch: -1, Offset: from}
	}
	return to
}

// IntakeStatus is how far an intake replica is with one partition of a source.
type IntakeStatus struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Next      int64  `json:"next"` // offset to be taken in next; -1: the start of the log, or not known yet
}

// Status returns the partitions that this replica owns, in no order. It is safe for concurrent use.
func (n *Intake) Status() (out []IntakeStatus) {
	n.at.mu.Lock()
	defer n.at.mu.Unlock()
	for tp, at := range n.at.owned {
		if at.known {
			out = append(out, IntakeStatus{tp.topic, tp.partition, at.next})
		}
	}
	return out
}

// Missing says what has to come about before this replica takes anything in: it joins the group.
func (n *Intake) Missing() []string {
	n.at.mu.Lock()
	defer n.at.mu.Unlock()
	if n.at.joined {
		return nil
	}
	return []string{"not a member of group " + IntakeGroup(n.c.Topics.Flow) + " yet"}
}
