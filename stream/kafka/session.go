package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// committed is what the group has committed for a partition.
type committed struct {
	offset   int64 // -1: nothing
	metadata string
}

// assignment follows what a group member owns. The truth is what it claims when it joins, and what the last sync said: callbacks can be
// swallowed (a transact session drops a second revoke or loss before End), so the loop reconciles with this.
type assignment struct {
	mu      sync.Mutex
	topic   string
	joined  bool // the group has told this member what it owns
	owned   map[int32]bool
	epochs  map[int32]int       // raised each time a partition comes or goes
	fetched map[int32]committed // of the current epoch
	duties  duties
	wake    func()
}

func newAssignment(topic string, wake func()) *assignment {
	return &assignment{topic: topic, owned: map[int32]bool{}, epochs: map[int32]int{}, fetched: map[int32]committed{}, wake: wake}
}

// claims is told what the member says that it owns, before it asks to join. What it does not name it has lost, and another member may have had
// it since.
func (a *assignment) claims(all map[string][]int32) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for p := range a.owned {
		if !slices.Contains(all[a.topic], p) {
			a.drop(p)
		}
	}
}

// drop forgets a partition.
func (a *assignment) drop(p int32) {
	delete(a.owned, p)
	delete(a.fetched, p)
	a.epochs[p]++
	a.wake()
}

// synced is told the whole assignment.
func (a *assignment) synced(all map[string][]int32, d duties) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.joined = true
	clear(a.owned)
	for _, p := range all[a.topic] {
		a.owned[p] = true
	}
	a.duties = d
	a.wake()
}

// following returns the partitions to follow, and whether each is warming up to be owned.
func (a *assignment) following() map[int32]bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := map[int32]bool{}
	for _, p := range a.duties.Follow {
		if !a.owned[p] {
			out[p] = slices.Contains(a.duties.Warming, p)
		}
	}
	return out
}

// added pauses what was handed over: nothing of it is read before its state is restored.
func (a *assignment) added(_ context.Context, cl *kgo.Client, added map[string][]int32) {
	cl.PauseFetchPartitions(map[string][]int32{a.topic: added[a.topic]})
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, p := range added[a.topic] {
		a.owned[p] = true
		a.epochs[p]++
		delete(a.fetched, p)
	}
}

func (a *assignment) removed(_ context.Context, _ *kgo.Client, removed map[string][]int32) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, p := range removed[a.topic] {
		a.drop(p)
	}
}

// lost is told that the group has gone on without this member.
func (a *assignment) lost(ctx context.Context, cl *kgo.Client, all map[string][]int32) {
	a.mu.Lock()
	a.joined = false
	a.mu.Unlock()
	a.removed(ctx, cl, all)
}

// missing says what keeps the member from work: it has not joined, or it does not know yet where its partitions begin.
func (a *assignment) missing(group string) []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.joined {
		return []string{"not a member of group " + group + " yet"}
	}
	var out []string
	for p := range a.owned {
		if _, ok := a.fetched[p]; !ok {
			out = append(out, fmt.Sprintf("the committed offset of partition %d is not known yet", p))
		}
	}
	slices.Sort(out)
	return out
}

// offsetsFetched notes the committed offsets with their metadata.
func (a *assignment) offsetsFetched(_ context.Context, _ *kgo.Client, resp *kmsg.OffsetFetchResponse) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	note := func(p int32, offset int64, metadata *string, code int16) {
		if code != 0 {
			return // the client asks again
		}
		c := committed{offset: offset}
		if metadata != nil {
			c.metadata = *metadata
		}
		a.fetched[p] = c
	}
	for _, g := range resp.Groups {
		for _, t := range g.Topics {
			for _, p := range t.Partitions {
				note(p.Partition, p.Offset, p.Metadata, p.ErrorCode)
			}
		}
	}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			note(p.Partition, p.Offset, p.Metadata, p.ErrorCode)
		}
	}
	a.wake()
	return nil
}

// ready is a partition that is owned and whose committed offset is known.
type ready struct {
	epoch int
	committed
}

func (a *assignment) current() map[int32]ready {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := map[int32]ready{}
	for p := range a.owned {
		if c, ok := a.fetched[p]; ok {
			out[p] = ready{a.epochs[p], c}
		}
	}
	return out
}

// groupOptions are the options of every group member: classic protocol, cooperative-sticky, offsets in our own hands.
//
// A member with an instance is static: after a crash its next start takes its place at once, where a dynamic member's
// group waits for the dead one until its session ends.
func (a *assignment) groupOptions(patience time.Duration, group, instance string, b *balancer) []kgo.Opt {
	opts := []kgo.Opt{
		kgo.ConsumerGroup(group),
		kgo.ConsumeTopics(a.topic),
		kgo.Balancers(b),
		kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()), // no reset anywhere: out of range halts
		kgo.OnPartitionsAssigned(a.added),
		kgo.OnPartitionsRevoked(a.removed),
		kgo.OnPartitionsLost(a.lost),
		kgo.OnOffsetsFetched(a.offsetsFetched),
		kgo.DisableAutoCommit(),
		kgo.SessionTimeout(patience),
		kgo.HeartbeatInterval(patience / 10),
		kgo.RebalanceTimeout(60 * time.Second),
		kgo.FetchMaxWait(500 * time.Millisecond),
		kgo.FetchMaxPartitionBytes(2 << 20),
		kgo.FetchMaxBytes(32 << 20),
		kgo.BrokerMaxReadBytes(100 << 20),
		kgo.KeepControlRecords(), // they are positions too: what lies before them is done
	}
	if instance != "" {
		opts = append(opts, kgo.InstanceID(instance))
	}
	return opts
}

// newSession joins the processors' group with a transactional producer.
func (p *Processor) newSession(a *assignment) (*kgo.GroupTransactSession, error) {
	b := newBalancer(p.c.ControlAddress, a)
	b.held, b.standbys, b.lag = p.held, p.c.Standbys, p.c.WarmLag
	opts := append(a.groupOptions(p.c.Cluster.patience(), ProcessorGroup(p.c.Topics.Flow), p.c.Instance, b),
		kgo.TransactionalID(p.c.TransactionalID),
		kgo.TransactionTimeout(p.c.Cluster.patience()),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchMaxBytes(MaxMessageBytes-16<<10),
		kgo.ProducerBatchCompression(kgo.SnappyCompression(), kgo.NoCompression()), // the one that needs least memory
		kgo.ProducerLinger(0),
		kgo.MaxBufferedRecords(50_000),
		kgo.MaxBufferedBytes(128<<20),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.WithPools(&p.slabs), // each record is copied as soon as it is polled
	)
	if p.c.pointed {
		opts = append(opts, kgo.WithHooks(points{p.c.At}))
	}
	gts, err := kgo.NewGroupTransactSession(p.c.Cluster.options(opts...)...)
	if err != nil {
		return nil, fmt.Errorf("join group %s: %w", ProcessorGroup(p.c.Topics.Flow), err)
	}
	return gts, nil
}

// leaveWithin bounds how long leaving a group may take: brokers that are away notice the absence by themselves.
const leaveWithin = 3 * time.Second

// leave ends the session's client. A static member stays in the group, so that its next start takes its place; but where
// standbys are warm, one that is told to stop gives its place up: whoever follows its partitions goes on at once.
func (p *Processor) leave(ctx context.Context) {
	defer p.Pulse.wait()()
	closeClient(ctx, p.gts.Client())
	if ctx.Err() == nil || p.c.Standbys == 0 || p.c.Instance == "" {
		return
	}
	p.c.Cluster.Leave(ctx, p.c.Instance, ProcessorGroup(p.c.Topics.Flow))
}

// Leave takes a static member that has ended out of its groups, which else keep its place for a while, for its next start.
func (c Cluster) Leave(ctx context.Context, instance string, groups ...string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveWithin)
	defer cancel()
	err := c.admin(func(adm *kadm.Client) (err error) {
		for _, group := range groups {
			_, one := adm.LeaveGroup(ctx, kadm.LeaveGroup(group).InstanceIDs(instance).Reason("stopped"))
			err = errors.Join(err, one)
		}
		return err
	})
	if err != nil {
		c.Log.Warn("leaving the groups failed; they notice the absence", "groups", groups, "error", err)
	}
}

// closeClient leaves the client's group, if it can within leaveWithin, and closes it.
func closeClient(ctx context.Context, cl *kgo.Client) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveWithin)
	defer cancel()
	_ = cl.LeaveGroupContext(ctx) // Kafka notices the absence
	cl.Close()
}

// untilWoken returns a context that ends after some time, or as soon as one of the channels delivers; release waits for
// what watches them.
func untilWoken(ctx context.Context, within time.Duration, wakes ...<-chan struct{}) (_ context.Context, release func()) {
	ctx, cancel := context.WithTimeout(ctx, within)
	var group sync.WaitGroup
	for _, wake := range wakes {
		group.Go(func() {
			select {
			case <-wake:
			case <-ctx.Done():
			}
			cancel()
		})
	}
	return ctx, func() { cancel(); group.Wait() }
}
