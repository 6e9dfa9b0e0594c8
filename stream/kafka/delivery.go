package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-dev/freshet/stream"
)

// DeliveryConfig is what the delivery to one target is made from.
type DeliveryConfig struct {
	Cluster        Cluster
	Topics         Topics
	Target         string
	Logic          stream.Fingerprint                            // of the program that runs now
	Sink           stream.Sink                                   // opened
	Tables         map[string]stream.Table                       // that the target keeps
	Keep           map[string]func([]stream.Value) (bool, error) // by table: rows it does not keep are deleted; may lack entries
	Instance       string                                        // static group member; "": a dynamic one
	ControlAddress string
	Now            func() time.Time
	At             func(point string) // named points, for tests; nil: nothing
	Trouble        func(err error)    // told what the target does not do, nil when it does again; may be nil
}

// Delivery keeps one target in step with the rows topic. All replicas that deliver to it share a consumer group.
type Delivery struct {
	c      DeliveryConfig
	log    *slog.Logger
	wake   chan struct{}
	cl     *kgo.Client
	assign *assignment
	origin stream.Origin

	mu    sync.Mutex // guards parts' fields against Status
	parts map[int32]*delivered
	asked *rebuilding // nil: nothing

	Metrics DeliveryMetrics
	Pulse   Pulse
}

// DeliveryMetrics are read concurrently.
type DeliveryMetrics struct {
	Rows, Batches, Retries, Fenced atomic.Int64
	FreshnessNanoseconds           atomic.Int64 // of the last batch: from the source's time to the commit in the target
}

// delivered is a partition that this replica delivers.
type delivered struct {
	id      int32
	epoch   int
	units   *units
	next    int64 // applied up to here, exclusive
	rebuild *stream.Rebuild
	pending []*kgo.Record // of the current poll
	inOrder int64         // when it was taken, or last applied; Unix milliseconds
	left    bool          // fenced: another writer took it, or it is to be taken anew
}

// NewDelivery returns a delivery; Run does the work.
func NewDelivery(c DeliveryConfig) *Delivery {
	if c.At == nil {
		c.At = func(string) {}
	}
	if c.Trouble == nil {
		c.Trouble = func(error) {}
	}
	return &Delivery{c: c, log: c.Cluster.Log.With("target", c.Target), wake: make(chan struct{}, 1), parts: map[int32]*delivered{},
		origin: stream.Origin{Flow: c.Topics.Flow, Target: c.Target, TopicID: c.Topics.RowsID, Generation: c.Topics.Generation.Generation}}
}

// Run delivers until ctx ends (nil) or the target needs a person (the error says what to do). What is transient is
// retried in place: nothing is skipped, and only this target waits.
func (d *Delivery) Run(ctx context.Context) error {
	for taken := new(takeovers); ; {
		err := d.session(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case !errors.Is(err, kerr.FencedInstanceID):
			return fmt.Errorf("target %s: %w", d.c.Target, err)
		case taken.again(time.Now()):
			return fmt.Errorf("target %s: %w", d.c.Target, twin("read the rows topic", err))
		}
		d.log.Warn("the delivery joins its group anew", "reason", err)
		if pause(ctx, 100*time.Millisecond) != nil {
			return nil
		}
	}
}

// session joins the group and delivers until ctx ends (nil) or something fails.
func (d *Delivery) session(ctx context.Context) (err error) {
	d.mu.Lock()
	d.assign = newAssignment(rowsTopic(d.c.Topics.Flow), d.signal)
	d.mu.Unlock()
	opts := append(d.assign.groupOptions(d.c.Cluster.patience(), TargetGroup(d.c.Topics.Flow, d.c.Target), d.c.Instance,
		newBalancer(d.c.ControlAddress, d.assign)),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if d.cl, err = d.c.Cluster.client(opts...); err != nil {
		return err
	}
	defer closeClient(ctx, d.cl)
	defer d.releaseAll()
	defer d.commitAtEnd(ctx)
	for ctx.Err() == nil {
		d.Pulse.beat()
		if err := d.round(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (d *Delivery) signal() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// Rebuild asks for partitions of the target, none named: all, to be read again from the rows topic. The rows stay visible
// until each partition is switched. Partitions that this replica does not deliver are left to others.
func (d *Delivery) Rebuild(partitions ...int32) {
	d.mu.Lock()
	d.asked = d.asked.and(partitions)
	d.mu.Unlock()
	d.signal()
}

// RebuildAsked reports whether a rebuild was asked for and has not begun.
func (d *Delivery) RebuildAsked() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.asked != nil
}

// rebuilding is what is to be rebuilt. It does not change.
type rebuilding struct {
	partitions []int32 // empty: all
}

// and is what r and others ask for together.
func (r *rebuilding) and(others []int32) *rebuilding {
	if r == nil || len(others) == 0 {
		return &rebuilding{others}
	}
	if len(r.partitions) == 0 {
		return &rebuilding{}
	}
	return &rebuilding{slices.Concat(r.partitions, others)}
}

func (r *rebuilding) has(partition int32) bool {
	return len(r.partitions) == 0 || slices.Contains(r.partitions, partition)
}

func (d *Delivery) round(ctx context.Context) error {
	if err := d.reconcile(ctx); err != nil {
		return err
	}
	if d.RebuildAsked() && len(d.parts) > 0 {
		if err := d.rebuildAsked(ctx); err != nil {
			return err
		}
	}
	if err := d.poll(ctx); err != nil {
		return err
	}
	if err := d.applyAll(ctx); err != nil {
		return err
	}
	return d.commitOffsets(ctx)
}

func (d *Delivery) reconcile(ctx context.Context) error {
	current := d.assign.current()
	for id, part := range d.parts {
		if r, ok := current[id]; !ok || r.epoch != part.epoch {
			d.drop(id)
		}
	}
	for id, r := range current {
		if d.parts[id] != nil {
			continue
		}
		part, err := d.attach(ctx, id, r.epoch)
		if err != nil {
			return err
		}
		if part == nil {
			continue // handed on meanwhile
		}
		d.mu.Lock()
		d.parts[id] = part
		d.mu.Unlock()
		d.seek(part)
	}
	return nil
}

func (d *Delivery) drop(id int32) {
	d.c.Sink.Release(id)
	d.mu.Lock()
	delete(d.parts, id)
	d.mu.Unlock()
}

func (d *Delivery) releaseAll() {
	for id := range d.parts {
		d.drop(id)
	}
}

// seek reads the partition from where its target is.
func (d *Delivery) seek(part *delivered) {
	at := part.next
	if part.rebuild != nil {
		at = part.rebuild.Next
	}
	part.inOrder = d.c.Now().UnixMilli()
	part.units = &units{tables: d.c.Tables, keep: d.c.Keep, gen: d.origin.Generation, logic: d.c.Logic.String(), next: at, whole: at}
	topic := rowsTopic(d.c.Topics.Flow)
	d.cl.SetOffsets(map[string]map[int32]kgo.EpochOffset{topic: {part.id: {Epoch: -1, Offset: at}}})
	d.cl.ResumeFetchPartitions(map[string][]int32{topic: {part.id}})
}

func (d *Delivery) poll(ctx context.Context) error {
	ctx, release := untilWoken(ctx, time.Second, d.wake)
	defer release()
	fetches := d.cl.PollRecords(ctx, 10_000)
	for _, e := range fetches.Errors() {
		switch {
		case errors.Is(e.Err, context.Canceled), errors.Is(e.Err, context.DeadlineExceeded):
		case errors.Is(e.Err, kgo.ErrClientClosed):
			return e.Err
		case errors.Is(e.Err, kerr.FencedInstanceID):
			return e.Err
		case errors.Is(e.Err, kerr.OffsetOutOfRange):
			return stream.Errorf(stream.Usage, fmt.Sprintf("read %s/%d", e.Topic, e.Partition), "the target's next offset is not in the topic; "+
				"run: freshet rebuild %s -f FLOW", d.c.Target)
		default:
			d.log.Warn("reading the rows topic failed; it is tried again", "partition", e.Partition, "error", e.Err)
		}
	}
	fetches.EachRecord(func(r *kgo.Record) {
		if part := d.parts[r.Partition]; part != nil {
			part.pending = append(part.pending, r)
		}
	})
	return nil
}

// applyAll applies what was polled, partitions side by side.
func (d *Delivery) applyAll(ctx context.Context) error {
	var group sync.WaitGroup
	errs := make(chan error, len(d.parts))
	for _, part := range d.parts {
		if len(part.pending) == 0 {
			continue
		}
		group.Go(func() { errs <- d.apply(ctx, part) })
	}
	group.Wait()
	close(errs)
	var all error
	for err := range errs {
		all = errors.Join(all, err)
	}
	for id, part := range d.parts {
		if part.left {
			d.drop(id) // if the group still gives it to us, the next round takes it under a new fence
		}
	}
	return all
}

// commitOffsets lets Kafka know how far the target is, for lag tools; the target itself is the truth.
func (d *Delivery) commitOffsets(ctx context.Context) error {
	offsets := map[int32]kgo.EpochOffset{}
	for id, part := range d.parts {
		if part.pending != nil {
			offsets[id] = kgo.EpochOffset{Epoch: -1, Offset: part.next}
			part.pending = nil
		}
	}
	if len(offsets) == 0 {
		return nil
	}
	d.cl.CommitOffsets(ctx, map[string]map[int32]kgo.EpochOffset{rowsTopic(d.c.Topics.Flow): offsets}, nil)
	return nil
}

// commitAtEnd tells Kafka how far the target is before the process ends, so that its lag is right while nothing runs.
func (d *Delivery) commitAtEnd(ctx context.Context) {
	offsets := map[int32]kgo.EpochOffset{}
	for id, part := range d.parts {
		if part.next > 0 {
			offsets[id] = kgo.EpochOffset{Epoch: -1, Offset: part.next}
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveWithin)
	defer cancel()
	if len(offsets) > 0 {
		d.cl.CommitOffsetsSync(ctx, map[string]map[int32]kgo.EpochOffset{rowsTopic(d.c.Topics.Flow): offsets}, nil)
	}
}

// DeliveryStatus is what a replica says of one partition of a target.
type DeliveryStatus struct {
	Partition  int32 `json:"partition"`
	Next       int64 `json:"next"` // rows-topic offset to be applied next
	Rebuilding bool  `json:"rebuilding,omitempty"`
}

// Status returns the partitions that this replica delivers, in no order.
func (d *Delivery) Status() []DeliveryStatus {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := make([]DeliveryStatus, 0, len(d.parts))
	for id, part := range d.parts {
		out = append(out, DeliveryStatus{Partition: id, Next: part.next, Rebuilding: part.rebuild != nil})
	}
	return out
}
