package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-dev/freshet/stream"
)

// IntakeSource is a source whose records the intake takes in.
type IntakeSource struct {
	Name    string
	Decoder stream.Decoder // names the document of each record
}

// IntakeConfig is what an intake replica is made from.
type IntakeConfig struct {
	Cluster         Cluster
	Topics          Topics
	TransactionalID string                  // stable for a replica on a real cluster, fresh for each start on the embedded broker
	Instance        string                  // static group member; "": a dynamic one
	ControlAddress  string                  // carried to the group
	Sources         map[string]IntakeSource // by topic
	MaxPoll         int                     // records of one transaction at the most; 0: 10,000
	// At is called at the named points of a transaction, I1 to I11, for tests that stop the process there; nil: nothing.
	At func(point string)

	pointed bool // At was given
}

// Intake is one replica of a flow's intake: it writes the records of several source topics, exactly once, onto the flow's
// intake topic, each into the partition that its document's ID hashes to. It keeps no state: a transaction carries the
// records and the sources' offsets.
//
// It upholds:
//
//   - Invariant 1: offsets are committed only inside the transaction that carries the records.
//   - Invariant 4: its transactional ID and the group's generation fence it.
//   - Invariant 6: a document's records keep their order, since those of one source partition are written in order.
type Intake struct {
	c    IntakeConfig
	log  *slog.Logger
	wake chan struct{}
	gts  *kgo.GroupTransactSession
	at   *positions

	begun time.Time // the last transaction

	Metrics IntakeMetrics
	Pulse   Pulse
}

// IntakeMetrics count what an intake replica does. Changes are counted by the processors alone (invariant 8).
type IntakeMetrics struct {
	Commits, Aborts atomic.Int64
	Records         atomic.Int64 // records written by committed transactions
}

// NewIntake returns an intake; Run does the work.
func NewIntake(c IntakeConfig) *Intake {
	if c.MaxPoll == 0 {
		c.MaxPoll = 10_000
	}
	if c.pointed = c.At != nil; !c.pointed {
		c.At = func(string) {}
	}
	n := &Intake{c: c, log: c.Cluster.Log, wake: make(chan struct{}, 1)}
	n.at = newPositions(n.signal)
	return n
}

func (n *Intake) signal() {
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

func (n *Intake) op() string { return "take in the sources of flow " + n.c.Topics.Flow }

// Run takes in until ctx ends (nil) or something needs a person (the error says what).
func (n *Intake) Run(ctx context.Context) error {
	return sessions{n.op(), n.c.Cluster, n.session, func() int64 { return n.Metrics.Commits.Load() },
		func() time.Time { return n.begun }, func(error) {}}.run(ctx)
}

// session joins the group and works until the session breaks.
func (n *Intake) session(ctx context.Context) (err error) {
	if err := n.recover(ctx); err != nil {
		return err
	}
	n.at.reset()
	if n.gts, err = n.join(); err != nil {
		return err
	}
	defer n.leave(ctx)
	for ctx.Err() == nil {
		n.Pulse.beat()
		b, err := n.poll(ctx)
		if err != nil {
			return err
		}
		if len(b.records) == 0 {
			n.at.passed(b)
			continue
		}
		if err := n.commit(ctx, b); err != nil {
			return err
		}
	}
	return nil
}

func (n *Intake) leave(ctx context.Context) {
	defer n.Pulse.wait()()
	closeClient(ctx, n.gts.Client())
}

func (n *Intake) join() (*kgo.GroupTransactSession, error) {
	group := IntakeGroup(n.c.Topics.Flow)
	// The options of a group that follows one topic serve, but for what they are told.
	opts := append(newAssignment("", func() {}).groupOptions(n.c.Cluster.patience(), group, n.c.Instance, newBalancer(n.c.ControlAddress, n.at)),
		kgo.ConsumeTopics(slices.Sorted(maps.Keys(n.c.Sources))...),
		kgo.OnPartitionsAssigned(n.at.added),
		kgo.OnPartitionsRevoked(n.at.removed),
		kgo.OnPartitionsLost(n.at.removed),
		kgo.OnOffsetsFetched(n.at.offsetsFetched),
		kgo.TransactionalID(n.c.TransactionalID),
		kgo.TransactionTimeout(n.c.Cluster.patience()),
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)), // by the key's hash, and every key is there
		kgo.ProducerBatchMaxBytes(MaxMessageBytes-16<<10),
		kgo.ProducerBatchCompression(kgo.SnappyCompression(), kgo.NoCompression()),
		kgo.ProducerLinger(0),
		kgo.MaxBufferedRecords(50_000),
		kgo.MaxBufferedBytes(128<<20),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
	)
	if n.c.pointed {
		opts = append(opts, kgo.WithHooks(points{func(p string) { n.c.At("I" + p[1:]) }}))
	}
	gts, err := kgo.NewGroupTransactSession(n.c.Cluster.options(opts...)...)
	if err != nil {
		return nil, fmt.Errorf("join group %s: %w", group, err)
	}
	return gts, nil
}

// poll returns the next records, or none when a tick passed.
func (n *Intake) poll(ctx context.Context) (*batch, error) {
	ctx, release := untilWoken(ctx, time.Second, n.wake)
	defer release()
	fetches := n.gts.PollRecords(ctx, n.c.MaxPoll)
	for _, e := range fetches.Errors() {
		switch {
		case errors.Is(e.Err, context.Canceled), errors.Is(e.Err, context.DeadlineExceeded):
		case errors.Is(e.Err, kgo.ErrClientClosed):
			return nil, errRestart
		case errors.Is(e.Err, kerr.FencedInstanceID):
			return nil, e.Err
		case errors.Is(e.Err, kerr.OffsetOutOfRange):
			return nil, stream.Errorf(stream.Usage, fmt.Sprintf("read %s/%d", e.Topic, e.Partition), "the next offset is no longer in the "+
				"topic: records were deleted before they were taken in; run: freshet reset -f FLOW")
		default:
			n.log.Warn("reading a source failed; it is tried again", "topic", e.Topic, "partition", e.Partition, "error", e.Err)
		}
	}
	return n.at.batch(fetches), nil
}
