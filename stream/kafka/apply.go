package kafka

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-dev/freshet/schemas"
	"github.com/freshet-dev/freshet/stream"
)

// errLeft ends work on a partition that another replica took over.
var errLeft = errors.New("the partition left this replica")

// finishWithin is how long a write to a target may go on after the process was asked to end.
const finishWithin = 10 * time.Second

// retry calls fn until it succeeds, what fails is not transient, or the partition leaves. A call that runs when ctx ends is
// finished.
func (d *Delivery) retry(ctx context.Context, id int32, epoch int, fn func(ctx context.Context) error) error {
	defer d.Pulse.wait()()
	outer, cancel := outlive(ctx, finishWithin)
	defer cancel()
	failed := false
	defer func() {
		if failed {
			d.c.Trouble(nil)
		}
	}()
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		err := fn(outer)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err() // asked to stop, not failed
		case stream.KindOf(err) == stream.Fenced:
			d.Metrics.Fenced.Add(1)
			return errLeft
		case stream.KindOf(err) != stream.Transient:
			return err
		}
		d.Metrics.Retries.Add(1)
		d.c.Trouble(err)
		failed = true
		d.log.Warn("the target does not answer; it is tried again", "partition", id, "error", err, "wait", wait)
		if err := d.rest(ctx, id, epoch, max(wait, asked(err))); err != nil {
			return err
		}
	}
}

// asked is how long a target that failed wants to be left alone.
func asked(failure error) time.Duration {
	var e *stream.Error
	if errors.As(failure, &e) {
		return e.RetryAfter
	}
	return 0
}

// rest waits, and looks in between whether the partition left.
func (d *Delivery) rest(ctx context.Context, id int32, epoch int, wait time.Duration) error {
	const look = 5 * time.Second
	for ; wait > 0; wait -= look {
		if err := pause(ctx, min(wait, look)); err != nil {
			return err
		}
		if r, ok := d.assign.current()[id]; !ok || r.epoch != epoch {
			return errLeft
		}
	}
	return nil
}

// attach takes a partition under a new fence and decides where to begin. nil: it left meanwhile.
func (d *Delivery) attach(ctx context.Context, id int32, epoch int) (*delivered, error) {
	part := &delivered{id: id, epoch: epoch}
	err := d.retry(ctx, id, epoch, func(ctx context.Context) error { return d.begin(ctx, part) })
	if errors.Is(err, errLeft) {
		return nil, nil
	}
	return part, err
}

func (d *Delivery) begin(ctx context.Context, part *delivered) error {
	held, err := d.c.Sink.Assign(ctx, part.id, d.origin)
	if err != nil {
		return err
	}
	op := fmt.Sprintf("take partition %d", part.id)
	switch {
	case held.TopicID == "" || held.Generation < d.origin.Generation:
		// Rows of an older generation stay until the first full pass of the new one is marked.
		return d.c.Sink.Adopt(ctx, part.id, d.origin, 0)
	case held.Generation > d.origin.Generation || held.TopicID != d.origin.TopicID:
		return stream.Errorf(stream.Usage, op, "the target follows rows topic %s of generation %d, but the flow's is %s of generation %d; "+
			"if the flow's topics were deleted or another cluster is meant to take over, run: freshet reset -f FLOW",
			held.TopicID, held.Generation, d.origin.TopicID, d.origin.Generation)
	}
	part.next, part.rebuild = held.Next, held.Rebuild
	end, young, err := d.bounds(ctx, part.id)
	if err != nil {
		return err
	}
	if part.rebuild != nil {
		if part.rebuild.End == 0 || part.rebuild.End < young {
			return d.startRebuild(ctx, part) // it was asked for before the end was known, or began so long ago
		}
		return nil
	}
	if part.next > end {
		return stream.Errorf(stream.Usage, op, "the target has applied offset %d, the rows topic ends at %d: the topic lost records; "+
			"run: freshet reset -f FLOW", part.next, end)
	}
	if part.next > 0 && part.next < min(end, young) {
		d.log.Warn("the target slept longer than half of the delete retention; it is rebuilt from the rows topic", "partition", part.id)
		return d.startRebuild(ctx, part)
	}
	return nil
}

// bounds returns a partition's stable end, which no unit crosses, and the offset from which on all records are younger than
// half of the delete retention. Who has read up to there has missed no delete; older ones may be gone. The brokers' clocks
// say when a record was appended, ours what time it is: they may differ by the other half.
func (d *Delivery) bounds(ctx context.Context, partition int32) (end, young int64, err error) {
	topic := rowsTopic(d.c.Topics.Flow)
	adm := kadm.NewClient(d.cl)
	stable, err := ends(adm.ListCommittedOffsets(ctx, topic))
	if err != nil || d.c.Cluster.Embedded { // where nothing is compacted
		return stable[partition], 0, err
	}
	since, err := ends(adm.ListOffsetsAfterMilli(ctx, d.c.Now().Add(-d.c.Topics.Retention.Delete/2).UnixMilli(), topic))
	return stable[partition], since[partition], err
}

// startRebuild notes durably that the partition's records up to now are to be read again.
func (d *Delivery) startRebuild(ctx context.Context, part *delivered) error {
	end, _, err := d.bounds(ctx, part.id)
	if err != nil {
		return err
	}
	if err := d.c.Sink.StartRebuild(ctx, part.id, end); err != nil {
		return err
	}
	if end == 0 { // nothing to be read: switch at once
		if err := d.c.Sink.Switch(ctx, part.id, end); err != nil {
			return err
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if part.rebuild = nil; end > 0 {
		part.rebuild = &stream.Rebuild{Next: 0, End: end}
	}
	return nil
}

// rebuildAsked begins what was asked for. A partition that was fenced meanwhile is taken anew, and then asked again.
func (d *Delivery) rebuildAsked(ctx context.Context) error {
	d.mu.Lock()
	now := d.asked
	d.mu.Unlock()
	var again []int32
	for id, part := range d.parts {
		if !now.has(id) {
			continue
		}
		err := d.retry(ctx, part.id, part.epoch, func(ctx context.Context) error { return d.startRebuild(ctx, part) })
		switch {
		case errors.Is(err, errLeft):
			d.drop(id)
			again = append(again, id)
		case err != nil:
			return err
		default:
			d.seek(part)
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.asked != now: // somebody asked meanwhile for more
	case len(again) > 0:
		d.asked = &rebuilding{again}
	default:
		d.asked = nil
	}
	return nil
}

const (
	batchRows  = 5_000
	batchBytes = 8 << 20
)

// applyPolled writes the polled records of a partition, in batches that end with a whole unit.
func (d *Delivery) applyPolled(ctx context.Context, part *delivered) error {
	rows, bytes := 0, 0
	for _, r := range part.pending {
		if part.rebuild != nil && r.Offset >= part.rebuild.End {
			part.units.cut(part.rebuild.End)
			if err := d.flush(ctx, part); err != nil {
				return err
			}
			return d.endRebuild(ctx, part)
		}
		if err := part.units.add(r); err != nil {
			return unreadable(r, err)
		}
		rows, bytes = rows+1, bytes+len(r.Value)
		if rows >= batchRows || bytes >= batchBytes || part.units.mark {
			if err := d.flush(ctx, part); err != nil {
				return err
			}
			rows, bytes = 0, 0
		}
	}
	if err := d.flush(ctx, part); err != nil {
		return err
	}
	if part.rebuild != nil && part.units.whole >= part.rebuild.End {
		return d.endRebuild(ctx, part)
	}
	return nil
}

// apply writes what was polled of a partition; that it left meanwhile is no error, its new owner goes on.
func (d *Delivery) apply(ctx context.Context, part *delivered) error {
	err := d.applyPolled(ctx, part)
	if errors.Is(err, errLeft) {
		part.left = true
		return nil
	}
	return err
}

// flush applies the whole units gathered, and acts on a pass mark.
func (d *Delivery) flush(ctx context.Context, part *delivered) error {
	done, to := part.units.take()
	b := stream.Batch{Partition: part.id, From: part.next, To: to, Units: done}
	write := d.c.Sink.Apply
	if part.rebuild != nil {
		b.From, b.To, write = part.rebuild.Next, min(to, part.rebuild.End), d.c.Sink.Stage
	}
	if b.To > b.From {
		d.c.At("S1")
		if err := d.retry(ctx, part.id, part.epoch, func(ctx context.Context) error { return write(ctx, b) }); err != nil {
			return err
		}
		d.c.At("S3")
		d.advance(part, b)
	}
	if d.slept(part) {
		return errLeft
	}
	if !part.units.mark {
		return nil
	}
	err := d.retry(ctx, part.id, part.epoch, func(ctx context.Context) error { return d.sweep(ctx, part) })
	if err == nil {
		part.units.marked()
	}
	return err
}

// sweep ends a first pass: rows of older generations go. A sweep leaves the offset where it stands, so a target that is
// brought back from a backup of before it, with those rows, would take the next batch as if nothing had been. Under a new
// fence it does not; and the second sweep finds what came back in the moment before the fence, else nothing.
func (d *Delivery) sweep(ctx context.Context, part *delivered) error {
	older := stream.Version{Generation: d.origin.Generation}
	if err := d.c.Sink.Sweep(ctx, part.id, d.c.Topics.Partitions, older); err != nil {
		return err
	}
	if _, err := d.c.Sink.Assign(ctx, part.id, d.origin); err != nil {
		return err
	}
	return d.c.Sink.Sweep(ctx, part.id, d.c.Topics.Partitions, older)
}

// slept reports whether so much time passed since the partition was last in order that what is read next may lack deletes:
// the target was away, or the process stood still. Taking the partition anew finds out.
func (d *Delivery) slept(part *delivered) bool {
	last := part.inOrder
	part.inOrder = d.c.Now().UnixMilli() // no monotonic clock: that stands still with the machine
	return part.inOrder-last > d.c.Topics.Retention.Delete.Milliseconds()/4
}

func (d *Delivery) advance(part *delivered, b stream.Batch) {
	d.mu.Lock()
	if part.rebuild != nil {
		part.rebuild.Next = b.To
	} else {
		part.next = b.To
	}
	d.mu.Unlock()
	d.Metrics.Batches.Add(1)
	for _, u := range b.Units {
		d.Metrics.Rows.Add(int64(len(u.Rows)))
	}
	if n := len(b.Units); n > 0 && part.rebuild == nil {
		d.freshness(b.Units[n-1])
	}
}

// freshness measures the age of a unit's change when it became visible.
func (d *Delivery) freshness(u stream.Unit) {
	for _, w := range u.Rows {
		var l schemas.Lineage
		if w.Delete || json.Unmarshal(w.Lineage, &l) != nil {
			continue
		}
		if t, err := time.Parse(time.RFC3339Nano, l.Time); err == nil {
			d.Metrics.FreshnessNanoseconds.Store(d.c.Now().Sub(t).Nanoseconds())
		}
		return
	}
}

// endRebuild switches the stage in, and goes on after it.
func (d *Delivery) endRebuild(ctx context.Context, part *delivered) error {
	end := part.rebuild.End
	if err := d.retry(ctx, part.id, part.epoch, func(ctx context.Context) error { return d.c.Sink.Switch(ctx, part.id, end) }); err != nil {
		return err
	}
	d.mu.Lock()
	part.next, part.rebuild = max(part.next, end), nil
	d.mu.Unlock()
	part.pending = []*kgo.Record{}
	d.seek(part)
	return nil
}
