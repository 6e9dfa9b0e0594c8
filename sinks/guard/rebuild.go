package guard

import (
	"context"

	"github.com/freshet-dev/freshet/stream"
)

// StartRebuild notes the rebuild under a new epoch: rows that are written from now on carry it, which tells them from those
// that the rebuild replaces. See stream.Sink.
func (s *Sink) StartRebuild(ctx context.Context, partition int32, end int64) error {
	_, err := s.alter(ctx, "start a rebuild of", partition, func(p *place) error {
		s.raise(p)
		s.propose(partition, p.Epoch)
		p.Next = min(p.Next, end) // records from there on are applied once more: their tombstones may be collected
		p.Rebuild = &rebuildNote{End: end, Since: p.rowEpoch()}
		return nil
	})
	return err
}

// propose lets the partition's next steps run under an epoch that is about to be swapped in.
func (s *Sink) propose(partition int32, epoch int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.held[partition]; t != nil {
		t.proposed = epoch
	}
}

// Switch ends a rebuild: rows of its range that it did not meet are deleted. Rows of older generations stay until they are
// swept: a first pass that is under way has not written all yet. See stream.Sink.
func (s *Sink) Switch(ctx context.Context, partition int32, end int64) error {
	const doing = "end the rebuild of"
	t, err := s.turn(ctx, doing, partition)
	if err != nil {
		return s.said(doing, err)
	}
	r, st := t.place.Rebuild, span{finish, 0, end}
	if r == nil && t.done(st) {
		return nil
	}
	if r == nil || r.End != end || r.Next < end {
		return stream.Errorf(stream.Internal, s.op(doing), "partition %d: records below %d are not all read, so the end would lose rows", partition, end)
	}
	gen := t.place.Generation
	unmet := Range{Partition: partition, From: stream.FirstOf(gen), Below: stream.Version{Generation: gen, Offset: end}, Epoch: r.Since}
	if err := t.bury(ctx, unmet); err != nil {
		return s.said(doing, err)
	}
	t.place.Next, t.place.Rebuild = max(t.place.Next, end), nil
	return s.said(doing, t.end(ctx, st))
}

// Sweep deletes rows of the partition, and of those beyond the count that fall to it, below a version. See stream.Sink.
func (s *Sink) Sweep(ctx context.Context, partition, partitions int32, before stream.Version) error {
	const doing = "sweep"
	t, err := s.turn(ctx, doing, partition)
	if err != nil {
		return s.said(doing, err)
	}
	return s.said(doing, t.bury(ctx, Range{Partition: partition, Modulo: partitions, Below: before}))
}

// bury replaces the rows of a range by tombstones of its last version: no record of the log carries it, and whatever is
// still to come of these rows is newer.
func (t *turn) bury(ctx context.Context, in Range) error {
	last := stream.Unpack(in.Below.Pack() - 1)
	for _, table := range t.sink.tables {
		var before map[stream.RowID]bool // rows that were just buried
		for {
			if err := t.stillOurs(ctx); err != nil {
				return err
			}
			rows, err := t.sink.store.Scan(ctx, table.As, in, t.sink.Chunk)
			if err != nil {
				return err
			}
			if len(rows) == 0 {
				break
			}
			items := make([]Item, len(rows))
			now := make(map[stream.RowID]bool, len(rows))
			for n, r := range rows {
				r.Table = table.Name
				if before[r.RowID] {
					return stream.Errorf(stream.Usage, "delete rows that do not belong", "row %q of document %s in %s stays whatever is written to it: "+
						"another program put it there under another identity than its own; delete it in the target", r.Key, r.Document, table.As)
				}
				now[r.RowID] = true
				items[n] = t.item(stream.RowWrite{RowID: r.RowID, Version: last, Delete: true}, &table)
			}
			if err := t.put(ctx, table.As, items); err != nil {
				return err
			}
			before = now
		}
	}
	return nil
}

// collect removes the partition's tombstones that are old enough, now and then. None is removed during a rebuild, which
// reads the records that older tombstones guard against.
func (s *Sink) collect(ctx context.Context, partition int32) error {
	now := s.Now()
	s.mu.Lock()
	last, known := s.swept[partition]
	due := known && now.Sub(last) >= s.TombstoneAge/4
	if due || !known {
		s.swept[partition] = now
	}
	s.mu.Unlock()
	if !due {
		return nil
	}
	t, err := s.turn(ctx, "collect tombstones of", partition)
	if err != nil || t.place.Rebuild != nil {
		return err
	}
	in := Range{Partition: partition, Below: stream.Version{Generation: t.place.Generation, Offset: t.place.Next}}
	for _, table := range s.tables {
		if err := s.store.Collect(ctx, table.As, in, now.Add(-s.TombstoneAge)); err != nil {
			return err
		}
	}
	return nil
}
