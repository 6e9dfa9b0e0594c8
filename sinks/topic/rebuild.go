package topic

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sync/errgroup"

	"github.com/freshet-dev/freshet/stream"
)

// newRebuild is a rebuild that begins now: what lies on the stage belongs to earlier ones.
func (s *Sink) newRebuild(ctx context.Context, partition int32, end int64) (*rebuildNote, error) {
	stage, err := s.extent(ctx, s.names.stage, []int32{partition})
	return &rebuildNote{End: end, Stage: stage[partition].to}, err
}

// StartRebuild notes durably what is to be read again. See stream.Sink.
func (s *Sink) StartRebuild(ctx context.Context, partition int32, end int64) error {
	const doing = "start a rebuild of"
	t, err := s.held(doing, partition)
	if err != nil {
		return err
	}
	to := t.place
	if to.Rebuild, err = s.newRebuild(ctx, partition, end); err != nil {
		return s.classed(doing, err)
	}
	if err := t.step(ctx, to, nil); err != nil {
		return s.classed(doing, err)
	}
	s.clearStage(ctx, partition, to.Rebuild.Stage)
	return nil
}

// clearStage frees the room of earlier rebuilds, if it can. No later rebuild begins below.
func (s *Sink) clearStage(ctx context.Context, partition int32, below int64) {
	_ = s.admin(ctx, func(adm *kadm.Client) error {
		if below == 0 {
			return nil
		}
		var upTo kadm.Offsets
		upTo.AddOffset(s.names.stage, partition, below, -1)
		_, err := adm.DeleteRecords(ctx, upTo)
		return err
	})
}

// sortStage sorts what a rebuild has staged, of each row the record of the highest version.
func (s *Sink) sortStage(ctx context.Context, partition int32, from int64) (*sorter, error) {
	parts, err := s.extent(ctx, s.names.stage, []int32{partition})
	if err != nil {
		return nil, err
	}
	sorted := newSorter()
	err = s.scan(ctx, s.names.stage, map[int32]reach{partition: {max(from, parts[partition].from), parts[partition].to}}, func(r *kgo.Record) error {
		topic, _ := header(r, headerTopic)
		i := slices.IndexFunc(s.tables, func(t *table) bool { return t.topic == topic })
		if i < 0 {
			return nil // of a table that the target no longer keeps
		}
		e := entryOf(r, i, true)
		e.Offset = e.Version // deletes that came meanwhile lie before older rows
		return sorted.add(e)
	})
	if err != nil {
		sorted.close()
		return nil, err
	}
	return sorted, nil
}

// Switch replaces the partition's rows by the staged ones in one transaction. See stream.Sink.
func (s *Sink) Switch(ctx context.Context, partition int32, end int64) error {
	const doing = "switch to the rebuild of"
	t, err := s.held(doing, partition)
	if err != nil {
		return err
	}
	r := t.place.Rebuild
	if r == nil || r.End != end || r.Next < end {
		return s.unstaged(ctx, t, doing, end)
	}
	live, err := s.sortRows(ctx, s.tables, []int32{partition}, false)
	if err != nil {
		return s.classed(doing, err)
	}
	defer live.close()
	stage, err := s.sortStage(ctx, partition, r.Stage)
	if err != nil {
		return s.classed(doing, err)
	}
	defer stage.close()
	beyond, err := s.leftBeyond(ctx, t)
	if err != nil {
		return s.classed(doing, err)
	}
	defer beyond.close()
	to := t.place
	limit := stream.Version{Generation: to.Generation, Offset: end}
	sw := switching{s, partition, stream.FirstOf(to.Generation).Pack(), limit.Pack()}
	records := concat(sw.records(live, stage), s.swept(beyond, nil, to.Sweep))
	to.Next, to.Above, to.Rebuild, to.Sweep = max(to.Next, end), max(to.Above, limit.Pack()), nil, nil
	if err := t.step(ctx, to, records); err != nil {
		return s.classed(doing, err)
	}
	if staged, err := s.extent(ctx, s.names.stage, []int32{partition}); err == nil {
		s.clearStage(ctx, partition, staged[partition].to)
	}
	return nil
}

// unstaged refuses a switch that would lose rows. A stale writer knows no better: it is told by its fence.
func (s *Sink) unstaged(ctx context.Context, t *tenure, doing string, end int64) error {
	if err := t.step(ctx, t.place, nil); err != nil {
		return s.classed(doing, err)
	}
	return stream.Errorf(stream.Internal, s.op(doing), "partition %d: records below %d are not all staged, so the switch would lose rows", t.partition, end)
}

// leftBeyond sorts the rows that a sweep left in partitions beyond the count.
func (s *Sink) leftBeyond(ctx context.Context, t *tenure) (*sorter, error) {
	if t.place.Sweep == nil {
		return newSorter(), nil
	}
	beyond, err := s.beyond(ctx, t.partition, t.place.Sweep.Partitions)
	if err != nil {
		return nil, err
	}
	t.cl.PurgeTopicsFromProducing(s.topics()...) // it may not know these partitions yet
	return s.sortRows(ctx, s.tables, beyond, false)
}

// switching compares what is held with what is staged. Rows in [first, limit) are replaced.
type switching struct {
	sink         *Sink
	partition    int32
	first, limit int64
}

func (w switching) records(live, stage *sorter) iter.Seq2[*kgo.Record, error] {
	return func(yield func(*kgo.Record, error) bool) {
		for p, err := range joined(live, stage) {
			if err != nil {
				yield(nil, err)
				return
			}
			if r := w.record(p.left, p.right); r != nil && !yield(r, nil) {
				return
			}
		}
	}
}

// record is what a row needs; nil: nothing.
func (w switching) record(held, staged *entry) *kgo.Record {
	if staged != nil && (staged.Dead || staged.Version >= w.limit) {
		staged = nil
	}
	switch {
	case held != nil && held.Version >= w.limit:
	case staged != nil && (held == nil || held.Dead || held.Version != staged.Version || held.Sum != staged.Sum):
		headers := slices.DeleteFunc(staged.Headers, func(h kgo.RecordHeader) bool { return h.Key == headerTopic })
		return &kgo.Record{Topic: w.sink.tables[staged.Table].topic, Partition: w.partition, Key: staged.rawKey(), Value: staged.Value, Headers: headers}
	case staged == nil && held != nil && !held.Dead && held.Version >= w.first:
		return w.sink.tables[held.Table].tombstone(held, stream.Unpack(w.limit-1))
	}
	return nil
}

// Sweep deletes rows below a version in the partition and in those beyond the count that fall to it, whose writers of
// older generations are shut out first. See stream.Sink.
func (s *Sink) Sweep(ctx context.Context, partition, partitions int32, before stream.Version) error {
	const doing = "sweep"
	t, err := s.held(doing, partition)
	if err != nil {
		return err
	}
	beyond, err := s.beyond(ctx, partition, partitions)
	if err == nil {
		err = s.shutOut(ctx, beyond)
	}
	if err != nil {
		return s.classed(doing, err)
	}
	live, err := s.sortRows(ctx, s.tables, append([]int32{partition}, beyond...), false)
	if err != nil {
		return s.classed(doing, err)
	}
	defer live.close()
	if len(beyond) > 0 {
		t.cl.PurgeTopicsFromProducing(s.topics()...) // it may not know these partitions yet
	}
	to, stage := t.place, newSorter()
	note := &sweepNote{partitions, before.Pack()}
	if to.Rebuild != nil {
		if stage, err = s.sortStage(ctx, partition, to.Rebuild.Stage); err != nil {
			return s.classed(doing, err)
		}
		if len(beyond) > 0 {
			to.Sweep = note
		}
	}
	defer stage.close()
	return s.classed(doing, t.step(ctx, to, s.swept(live, stage, note)))
}

// swept are the tombstones of rows below a version that are not staged.
func (s *Sink) swept(live, stage *sorter, note *sweepNote) iter.Seq2[*kgo.Record, error] {
	return func(yield func(*kgo.Record, error) bool) {
		if note == nil {
			return
		}
		if stage == nil {
			stage = newSorter()
		}
		last := stream.Unpack(max(0, note.Before-1))
		for p, err := range joined(live, stage) {
			if err != nil {
				yield(nil, err)
				return
			}
			e := p.left
			if e == nil || e.Dead || e.Version >= note.Before || p.right != nil && !p.right.Dead {
				continue
			}
			if !yield(s.tables[e.Table].tombstone(e, last), nil) {
				return
			}
		}
	}
}

// beyond are the partitions beyond a count that fall to one.
func (s *Sink) beyond(ctx context.Context, partition, partitions int32) (out []int32, err error) {
	d, err := s.describe(ctx, s.names.places)
	for p := partitions; p < d.partitions; p++ {
		if p%partitions == partition {
			out = append(out, p)
		}
	}
	return out, err
}

// shutOut fences whoever writes these partitions.
func (s *Sink) shutOut(ctx context.Context, partitions []int32) error {
	if s.embedded {
		return nil // there is no other process
	}
	cl, err := s.client()
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(8)
	for _, p := range partitions {
		group.Go(func() error { return initialise(ctx, cl, s.transactionalID(p)) })
	}
	return group.Wait()
}

// initialise raises the epoch of a transactional ID, and returns when what was open under it is aborted.
func initialise(ctx context.Context, cl *kgo.Client, id string) error {
	for {
		req := kmsg.NewPtrInitProducerIDRequest()
		req.TransactionalID, req.TransactionTimeoutMillis = &id, int32(transactionTimeout.Milliseconds())
		req.ProducerID, req.ProducerEpoch = -1, -1
		resp, err := req.RequestWith(ctx, cl)
		if err == nil {
			err = kerr.ErrorForCode(resp.ErrorCode)
		}
		if !errors.Is(err, kerr.ConcurrentTransactions) {
			if err != nil {
				err = fmt.Errorf("shut out writers of %s: %w", id, err)
			}
			return err
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
}
