package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/engine"
)

// Store is the local copy of one partition's changelog, as statestore keeps it.
type Store interface {
	engine.Store
	Apply(entries []stream.StateEntry, c stream.Checkpoint) error
	Checkpoint() (stream.Checkpoint, bool, error)
	Close() error
}

// Stores opens and wipes the stores of a replica.
type Stores interface {
	Open(partition int32) (Store, error)
	Wipe(partition int32) error
}

// ProcessorConfig is what a processor replica is made from.
type ProcessorConfig struct {
	Cluster         Cluster
	Topics          Topics
	TransactionalID string // stable for a replica on a real cluster, fresh for each start on the embedded broker
	Instance        string // static group member; "": a dynamic one
	ControlAddress  string // carried to the group
	Revision        int64  // number of the declaration that it runs
	Engine          engine.Config
	Evaluator       *engine.Evaluator
	Totals          *engine.Totals
	Stores          Stores
	PendingBytes    int           // above this, polling pauses; 0: 256 MiB
	Budget          time.Duration // how long a transaction waits for evaluations; 0: 100 ms
	MaxPoll         int           // records of one transaction at the most; 0: 20,000
	Standbys        int           // replicas that follow each partition beside its owner
	WarmLag         int64         // changelog offsets that a store may be behind and still count as warm; 0: 10,000
	RestorePiece    int           // records that a restore writes at once; 0: 20,000
	// At is called at the named points of a transaction, for tests that stop the process there; nil: nothing.
	At func(point string)
	// Trouble is told why a session broke, and nil when the next one works; nil: nobody is.
	Trouble func(err error)

	pointed bool // At was given
}

func (c *ProcessorConfig) defaults() {
	if c.PendingBytes == 0 {
		c.PendingBytes = 256 << 20
	}
	if c.Budget == 0 {
		c.Budget = 100 * time.Millisecond
	}
	if c.MaxPoll == 0 {
		c.MaxPoll = 20_000
	}
	if c.WarmLag == 0 {
		c.WarmLag = 10_000
	}
	if c.RestorePiece == 0 {
		c.RestorePiece = 20_000
	}
	c.pointed = c.At != nil
	if !c.pointed {
		c.At = func(string) {}
	}
	if c.Trouble == nil {
		c.Trouble = func(error) {}
	}
	if c.Engine.MaxRecord == 0 {
		c.Engine.MaxRecord = MaxRecord
	}
}

// Processor is one replica of a flow's processor.
type Processor struct {
	c    ProcessorConfig
	log  *slog.Logger
	wake chan struct{}
	take int // records of the next poll

	applying *applying // nil: all that was committed is in the stores
	// turns are taken by restores that read: as many at the same time as there are processors.
	turns chan struct{}

	gts    *kgo.GroupTransactSession
	assign *assignment
	begun  time.Time       // the last transaction
	room   []stream.Record // of the round's records; the next round takes it over
	round  []*stream.Record
	slabs  slabs
	aborts int // transactions aborted since the last one that committed

	takenIn Ends      // of the intake topic when all was taken in that the sources held at the reset; nil: not known
	asked   time.Time // when it was last asked for

	mu        sync.Mutex // guards what follows against readers of Status
	parts     map[int32]*owned
	opened    []*opening
	standbys  map[int32]*standby
	forgets   map[int32][]*forgetting // by partition; see Forget
	requests  map[int32][]*request    // by partition; see Retry and Drop
	disk      map[int32]int64         // how far the stores are that are not open: the offset of the last progress record
	published []PartitionStatus

	pacer   pacer
	probed  time.Time // when a rebalance was asked for last
	missing []string  // see Missing

	Metrics ProcessorMetrics
	Pulse   Pulse
}

// ProcessorMetrics are what a processor counts beside engine.Counts. They are read concurrently.
type ProcessorMetrics struct {
	Commits, Aborts        atomic.Int64
	RestoredRecords        atomic.Int64 // changelog records applied at assignment
	RestoredBytes          atomic.Int64
	RestoreFetches         atomic.Int64 // fetches that returned changelog records
	RestoreRemaining       atomic.Int64 // records still to be applied, over all partitions
	StandbyRecords         atomic.Int64 // changelog records applied by standbys
	StandbyFetches         atomic.Int64
	Divergences            atomic.Int64 // must stay 0
	Ticks                  atomic.Int64 // rounds of the loop
	Records                atomic.Int64 // source records read
	TransactionNanoseconds atomic.Int64
}

// owned is a partition that this replica processes.
type owned struct {
	id      int32
	epoch   int
	store   Store
	part    *engine.Partition
	release func()
	next    int64 // input offset that is committed
	read    int64 // offset after the last record read, those of control included
	done    int64 // read, as of the last round that ended well: all before it is committed
	logic   stream.Fingerprint
	applied int64 // offset of the last progress record in the store; guarded by Processor.mu
	failure error // set: the partition is stopped
}

// NewProcessor returns a processor; Run does the work.
func NewProcessor(c ProcessorConfig) *Processor {
	c.defaults()
	return &Processor{c: c, log: c.Cluster.Log, wake: make(chan struct{}, 1), take: min(c.MaxPoll, evaluateAtOnce),
		turns: make(chan struct{}, runtime.GOMAXPROCS(0)), parts: map[int32]*owned{}, standbys: map[int32]*standby{}, disk: map[int32]int64{},
		forgets: map[int32][]*forgetting{}, requests: map[int32][]*request{}}
}

// disks are stores that can tell how far they were when they were closed.
type disks interface {
	Held() (map[int32]stream.Checkpoint, error)
}

// lookAround notes how far the stores of an earlier process are, for the group to place partitions by. It is a hint: a
// restore looks for itself.
func (p *Processor) lookAround() {
	d, ok := p.c.Stores.(disks)
	if !ok {
		return
	}
	held, err := d.Held()
	if err != nil {
		p.log.Warn("the local state can't be listed; partitions may go elsewhere", "error", err)
	}
	for id, c := range held {
		if c.TopicID == p.c.Topics.ChangelogID && c.Format == engine.FormatVersion {
			p.disk[id] = c.Applied
		}
	}
}

// Run processes until ctx ends (nil) or something needs a person (the error says what).
func (p *Processor) Run(ctx context.Context) error {
	p.lookAround()
	return sessions{"process flow " + p.c.Topics.Flow, p.c.Cluster, p.session, func() int64 { return p.Metrics.Commits.Load() },
		func() time.Time { return p.begun }, p.c.Trouble}.run(ctx)
}

// session joins the group and works until the session breaks.
func (p *Processor) session(ctx context.Context) (err error) {
	p.mu.Lock()
	p.assign = newAssignment(p.c.Topics.Source, p.signal)
	p.mu.Unlock()
	p.publish()
	if p.gts, err = p.newSession(p.assign); err != nil {
		return err
	}
	// Partitions close before the client leaves, so that the next owner finds nothing of them in use here.
	defer p.leave(ctx)
	opening, cancel := context.WithCancel(ctx)
	defer p.closeAll(cancel)
	for ctx.Err() == nil {
		p.Metrics.Ticks.Add(1)
		p.Pulse.beat()
		if err := p.reconcile(opening); err != nil {
			return err
		}
		if len(p.missing) == 0 {
			p.c.Trouble(nil)
		}
		p.learnPass(ctx)
		records, err := p.poll(ctx)
		if err != nil {
			return err
		}
		err = p.step(ctx, records)
		clear(p.room) // the fetches that they lie in can go
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *Processor) signal() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// gather is for how long documents of the backlog that are evaluated are gathered, unless live changes come: each transaction for
// them is one that a live change may have to wait for.
const gather = 100 * time.Millisecond

// poll returns the next records, or none when something else wants attention: an evaluation ended, a partition was
// restored, a tick passed. While too much is pending it reads nothing.
func (p *Processor) poll(ctx context.Context) ([]*stream.Record, error) {
	within, behind := time.Second, p.c.Evaluator.Behind()
	switch {
	case behind > 0:
		within = gather
	case p.applying == nil && p.backlog() && p.pacer.pace().Rate > 0:
		within = atATime
	}
	ctx, release := untilWoken(ctx, within, p.wake, p.c.Evaluator.Urgent())
	defer release()
	switch {
	case p.applying != nil: // it may run ahead only while nothing is pending and nothing is in the backlog
	case p.pendingBytes() > p.c.PendingBytes:
		<-ctx.Done()
		return nil, nil
	case behind == 0 && p.backlog() && p.hasRoom() && p.pacer.ready(p.now(), p.share()):
		ctx = nil // what is there, and no wait: the backlog is work enough
	}
	return p.received(p.gts.PollRecords(ctx, p.take))
}

func (p *Processor) received(fetches kgo.Fetches) ([]*stream.Record, error) {
	for _, e := range fetches.Errors() {
		switch {
		case errors.Is(e.Err, context.Canceled), errors.Is(e.Err, context.DeadlineExceeded):
		case errors.Is(e.Err, kgo.ErrClientClosed):
			return nil, errRestart
		case errors.Is(e.Err, kerr.FencedInstanceID):
			return nil, e.Err
		case errors.Is(e.Err, kerr.OffsetOutOfRange):
			p.stop(e.Partition, stream.Errorf(stream.Usage, fmt.Sprintf("read %s/%d", e.Topic, e.Partition), "the next offset is no "+
				"longer in the topic: records were deleted before they were processed; run: freshet reset -f FLOW"))
		default:
			p.log.Warn("reading the source failed; it is tried again", "topic", e.Topic, "partition", e.Partition, "error", e.Err)
		}
	}
	n := fetches.NumRecords()
	p.room, p.round = slices.Grow(p.room[:0], n)[:n], slices.Grow(p.round[:0], n)
	fetches.EachRecord(func(r *kgo.Record) {
		p.receive(r)
		r.Recycle()
	})
	p.Metrics.Records.Add(int64(len(p.round)))
	return p.round, nil
}

func (p *Processor) receive(r *kgo.Record) {
	o := p.parts[r.Partition]
	if o == nil || o.failure != nil || r.Offset < o.next {
		return // of a partition that left (the transaction's end notices the same), or read before a rewind
	}
	o.read = r.Offset + 1
	if r.Attrs.IsControl() {
		return
	}
	rec := &p.room[len(p.round)]
	copyRecord(rec, r)
	p.round = append(p.round, rec)
}

func fromKafka(r *kgo.Record) *stream.Record {
	var out stream.Record
	copyRecord(&out, r)
	return &out
}

func copyRecord(to *stream.Record, r *kgo.Record) {
	*to = stream.Record{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Timestamp: r.Timestamp, Key: r.Key, Value: r.Value}
	for _, h := range r.Headers {
		to.Headers = append(to.Headers, stream.Header{Key: h.Key, Value: h.Value})
	}
}

func (p *Processor) pendingBytes() (n int) {
	for _, o := range p.parts {
		n += o.part.PendingBytes()
	}
	return n
}

// hasRoom reports whether documents of the backlog may be evaluated: they leave most of the room to live changes.
func (p *Processor) hasRoom() bool { return p.pendingBytes() <= p.c.PendingBytes/4 }

// backlog reports whether documents wait for re-evaluation; live changes go before them.
func (p *Processor) backlog() bool {
	for _, o := range p.parts {
		if o.failure == nil && o.part.Backlog() > 0 {
			return true
		}
	}
	return false
}

// stop takes a partition out of work, keeping its state; the others go on (invariant 8).
func (p *Processor) stop(partition int32, cause error) {
	o := p.parts[partition]
	if o == nil || o.failure != nil {
		return
	}
	p.mu.Lock()
	o.failure = cause
	p.mu.Unlock()
	p.gts.Client().PauseFetchPartitions(map[string][]int32{p.c.Topics.Source: {partition}})
	p.unforgotten(partition)
	p.unanswered(partition)
	p.log.Error("partition stopped; nothing of it is lost", "flow", p.c.Topics.Flow, "partition", partition, "error", cause)
}
