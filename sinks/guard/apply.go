package guard

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/freshet-dev/freshet/stream"
)

// Apply puts a batch's rows, then its next offset. See stream.Sink and the package comment.
func (s *Sink) Apply(ctx context.Context, b stream.Batch) error {
	const doing = "write to"
	if err := s.step(ctx, doing, b, span{apply, b.From, b.To}); err != nil {
		return s.said(doing, err)
	}
	_ = s.collect(ctx, b.Partition) // what is left is collected another time; the batch is in
	return nil
}

// Stage puts the rows of a rebuild where readers see them: there is no stage. See stream.Sink.
func (s *Sink) Stage(ctx context.Context, b stream.Batch) error {
	const doing = "rebuild"
	return s.said(doing, s.step(ctx, doing, b, span{stage, b.From, b.To}))
}

// offset is the one that a step moves; nil when there is none.
func (st span) offset(p *place) *int64 {
	switch {
	case st.kind == apply:
		return &p.Next
	case p.Rebuild != nil:
		return &p.Rebuild.Next
	}
	return nil
}

// step writes a batch and moves an offset over it.
func (s *Sink) step(ctx context.Context, doing string, b stream.Batch, st span) error {
	t, err := s.turn(ctx, doing, b.Partition)
	if err != nil {
		return err
	}
	at := st.offset(&t.place)
	if at != nil && *at == st.to && t.done(st) {
		return nil
	}
	if at == nil || *at != st.from {
		return s.lost(doing, b.Partition)
	}
	items, err := s.items(b, t)
	if err != nil {
		return err
	}
	if err := t.putAll(ctx, items); err != nil {
		return err
	}
	*at = st.to // Invariant 1: every row is in.
	return t.end(ctx, st)
}

// end swaps the place that a step leads to.
func (t *turn) end(ctx context.Context, st span) error {
	t.tenure.unknown = &st
	_, err := t.sink.swap(ctx, t.document, t.place)
	switch {
	case err == nil:
		t.tenure.unknown = nil
	case errors.Is(err, ErrConflict):
		return t.sink.lost(t.doing, t.place.Partition)
	}
	return err
}

// turn is one step of a writer that holds the partition.
type turn struct {
	sink     *Sink
	doing    string
	tenure   *tenure
	place    place
	document Document
	seen     time.Time // when the epoch was last seen to be ours
}

// done reports whether the place as it is now is the outcome of a step that was not known to have come about.
func (t *turn) done(st span) bool {
	if t.tenure.unknown == nil || *t.tenure.unknown != st {
		return false
	}
	t.tenure.unknown = nil
	return true
}

// turn reads the place of a partition; one that is another's is refused (invariant 4).
func (s *Sink) turn(ctx context.Context, doing string, partition int32) (*turn, error) {
	t := &turn{sink: s, doing: doing, seen: s.Now()}
	var err error
	if t.place, t.document, err = s.readPlace(ctx, partition); err != nil {
		return nil, err
	}
	if t.tenure = s.tenure(partition, t.place); t.tenure == nil {
		return nil, s.lost(doing, partition)
	}
	return t, nil
}

// stillOurs makes sure of the epoch when it was last seen long ago: a writer that was stopped meanwhile sends no more.
func (t *turn) stillOurs(ctx context.Context) error {
	now := t.sink.Now()
	if now.Sub(t.seen) < t.sink.Patience {
		return nil
	}
	_, d, err := t.sink.readPlace(ctx, t.place.Partition)
	if err != nil {
		return err
	}
	if d.Sequence != t.document.Sequence {
		return t.sink.lost(t.doing, t.place.Partition)
	}
	t.seen = now
	return nil
}

// items are the last writes of each row in the batch, in order.
func (s *Sink) items(b stream.Batch, by *turn) ([]Item, error) {
	last := map[stream.RowID]Item{}
	for _, u := range b.Units {
		for _, r := range u.Rows {
			t := s.byName[r.Table]
			switch {
			case t == nil:
				return nil, stream.Errorf(stream.Internal, s.op("write to"), "table %q is not one of this target's", r.Table)
			case !r.Delete && len(r.Columns) != len(t.Columns):
				return nil, stream.Errorf(stream.Internal, s.op("write to"), "a row of table %q has %d columns instead of %d", r.Table,
					len(r.Columns), len(t.Columns))
			}
			i := by.item(r, t)
			if s.ByBatch {
				i.Over, i.Bound = stream.Version{Generation: r.Version.Generation, Offset: b.From}, stream.Version{Generation: r.Version.Generation, Offset: b.To - 1}
			}
			last[r.RowID] = i
		}
	}
	items := make([]Item, 0, len(last))
	for _, i := range last {
		items = append(items, i)
	}
	slices.SortFunc(items, func(a, b Item) int { return cmp.Compare(a.Version.Pack(), b.Version.Pack()) })
	return items, nil
}

// item is the write of a row under its own version.
func (t *turn) item(r stream.RowWrite, of *Table) Item {
	r.Table = of.As
	return Item{RowWrite: r, Partition: t.place.Partition, Epoch: t.place.rowEpoch(), Over: r.Version, Bound: r.Version, At: t.sink.Now(),
		Place: Mark{t.document.Key, t.document.Sequence}}
}

// putAll puts the items in order, a chunk at a time.
func (t *turn) putAll(ctx context.Context, items []Item) error {
	for len(items) > 0 {
		n := t.sink.chunk(items)
		if err := t.putTables(ctx, items[:n]); err != nil {
			return err
		}
		items = items[n:]
	}
	return nil
}

// chunk returns how many of the items go into one put: at least one.
func (s *Sink) chunk(items []Item) int {
	bytes := 0
	var encoded []byte
	for n, i := range items {
		size := len(i.Document) + len(i.Key) + len(i.Lineage)
		for _, v := range i.Columns {
			encoded = stream.AppendValue(encoded[:0], v)
			size += len(encoded)
		}
		if bytes += size; n == s.Chunk || n > 0 && bytes > s.ChunkBytes {
			return n
		}
	}
	return len(items)
}

// putTables puts the items of a chunk, table by table.
func (t *turn) putTables(ctx context.Context, items []Item) error {
	for _, table := range t.sink.tables {
		var own []Item
		for _, i := range items {
			if i.Table == table.As {
				own = append(own, i)
			}
		}
		if err := t.put(ctx, table.As, own); err != nil {
			return err
		}
	}
	return nil
}

// What failed is put again a few times where it stands; then the caller, who knows whether the partition is still its
// own, tries the whole batch again.
const puts = 8

func (t *turn) put(ctx context.Context, table string, items []Item) error {
	for n, wait := 1, t.sink.Wait; len(items) > 0; n, wait = n+1, 2*wait {
		if err := t.stillOurs(ctx); err != nil {
			return err
		}
		cause := t.sink.store.Put(ctx, table, items)
		var some *stream.BatchError
		if errors.As(cause, &some) {
			items, cause = failed(items, some)
		}
		if cause == nil || !passing(cause) {
			return cause
		}
		if n == puts {
			return stream.Errorf(stream.Transient, t.sink.op(t.doing), "%d rows of table %q were not taken: %w", len(items), table, cause)
		}
		if err := pause(ctx, wait); err != nil {
			return err
		}
	}
	return nil
}

func passing(err error) bool {
	k := stream.KindOf(err)
	return k == stream.Transient || k == stream.Throttled
}

// failed returns the items to be put again, and the gravest reason.
func failed(items []Item, some *stream.BatchError) (again []Item, cause error) {
	for n, i := range items {
		err := some.Failed[n]
		if err == nil {
			continue
		}
		if cause == nil || !passing(err) {
			cause = &stream.Error{Op: "put a row", Doc: i.Document, Kind: stream.KindOf(err), Err: err}
		}
		again = append(again, i)
	}
	return again, cause
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
