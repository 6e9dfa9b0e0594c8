package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-dev/freshet/schemas"
	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/engine"
)

// restorePieceOf bounds, in bytes, what is written to a store at once. With what a client holds fetched, some 32 MiB, it
// bounds the memory of a restore; at most as many restores as there are processors read at the same time.
const restorePieceOf = 8 << 20

// catchUp applies the changelog after what the store holds, up to target.
func (p *Processor) catchUp(ctx context.Context, o *opening, store Store, held stream.Checkpoint, target int64) (stream.Checkpoint, error) {
	if target <= held.Applied {
		return held, nil
	}
	select {
	case p.turns <- struct{}{}:
		defer func() { <-p.turns }()
	case <-ctx.Done():
		return held, &stream.Error{Op: "restore partition " + partitionText(o.id), Kind: stream.Transient, Err: ctx.Err()}
	}
	cl, err := p.follow(o.id, held)
	if err != nil {
		return held, err
	}
	defer p.unfollow(cl)
	c := p.catching(o.id, store, held)
	if err := c.loadUpTo(target); err != nil {
		return held, err
	}
	o.progress.begin(target - c.at)
	p.Metrics.RestoreRemaining.Add(target - c.at)
	left, read := target-c.at, int64(0)
	defer func() { p.Metrics.RestoreRemaining.Add(-left) }()
	for c.at < target {
		if err := c.poll(ctx, cl, target); err != nil {
			return held, err
		}
		if err := ctx.Err(); err != nil {
			return held, &stream.Error{Op: "restore partition " + partitionText(o.id), Kind: stream.Transient, Err: err}
		}
		now := max(0, target-c.at)
		p.Metrics.RestoreRemaining.Add(now - left)
		left = now
		o.progress.note(c.records, c.read, left)
		p.Metrics.RestoredBytes.Add(c.read - read)
		read = c.read
	}
	return c.end()
}

// follow returns a client that reads a partition's changelog after what a store holds: what is committed, with the
// positions of control records, and never from anywhere else than asked. It fetches no further while what it has is not
// taken from it.
func (p *Processor) follow(id int32, held stream.Checkpoint) (*kgo.Client, error) {
	from := kgo.NewOffset().At(held.Applied + 1)
	if held.Applied < 0 {
		from = kgo.NewOffset().AtStart()
	}
	return p.c.Cluster.client(
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{changelogTopic(p.c.Topics.Flow): {id: from}}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(), kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.FetchMaxPartitionBytes(4<<20), kgo.FetchMaxBytes(16<<20), kgo.FetchMaxWait(100*time.Millisecond))
}

// unfollow closes a client that follows a changelog. It fetches no further first: closed meanwhile, it races with itself.
func (p *Processor) unfollow(cl *kgo.Client) {
	cl.PurgeTopicsFromConsuming(changelogTopic(p.c.Topics.Flow))
	cl.Close()
}

// catching brings a store up to its changelog. The checkpoint moves only to progress records: a crash in between repeats
// from the old one, which changes nothing.
type catching struct {
	p       *Processor
	id      int32
	store   Store
	held    stream.Checkpoint // in the store
	last    stream.Checkpoint // of the last progress record read
	entries []stream.StateEntry
	open    int // entries at the end that no progress record covers yet
	since   int // all entries read since the last progress record, those written too
	bytes   int // of entries
	at      int64
	edge    int64  // high watermark, as of the last fetch
	records int64  // read in all
	read    int64  // bytes of them
	load    loader // set while a whole state is written in bulk
	// What it counts.
	fetches, applied *atomic.Int64
}

// loader is a store that can be given a whole state faster than by Apply alone; see statestore.
type loader interface {
	Load() error
	Loaded(c stream.Checkpoint) error
}

// loadUpTo has the store written in bulk when it is empty and has far to go. A crash before the end begins anew.
func (c *catching) loadUpTo(target int64) error {
	l, ok := c.store.(loader)
	if !ok || c.held.Applied >= 0 || target-c.at <= c.p.c.WarmLag {
		return nil
	}
	c.load = l
	return l.Load()
}

// loaded ends writing in bulk. Entries after the last progress record are in the store already, and are written again.
func (c *catching) loaded() error {
	if err := c.apply(); err != nil {
		return err
	}
	l := c.load
	c.load, c.held = nil, c.last
	return l.Loaded(c.last)
}

func (p *Processor) catching(id int32, store Store, held stream.Checkpoint) *catching {
	return &catching{p: p, id: id, store: store, held: held, last: held, at: held.Applied,
		fetches: &p.Metrics.RestoreFetches, applied: &p.Metrics.RestoredRecords}
}

// poll takes what is fetched next, nothing after target. When ctx ends it returns without an error: what was fetched by
// then is taken all the same, since the client won't give it again.
func (c *catching) poll(ctx context.Context, cl *kgo.Client, target int64) error {
	op := "read the changelog of partition " + partitionText(c.id)
	fetches := cl.PollRecords(ctx, c.p.c.RestorePiece)
	for _, e := range fetches.Errors() {
		if ctx.Err() != nil && errors.Is(e.Err, ctx.Err()) {
			continue
		}
		if errors.Is(e.Err, kerr.OffsetOutOfRange) || errors.Is(e.Err, kerr.UnknownTopicID) || errors.Is(e.Err, kgo.ErrClientClosed) {
			return &stream.Error{Op: op, Kind: stream.Transient, Err: e.Err}
		}
		c.p.log.Warn("reading the changelog failed; it is tried again", "partition", c.id, "error", e.Err)
	}
	if fetches.NumRecords() > 0 {
		c.fetches.Add(1)
	}
	fetches.EachPartition(func(f kgo.FetchTopicPartition) { c.edge = max(c.edge, f.HighWatermark) })
	for iter := fetches.RecordIter(); !iter.Done() && c.at < target; {
		c.p.c.At("F14")
		if err := c.take(iter.Next()); err != nil {
			return storeError(op, err)
		}
	}
	return nil
}

func (c *catching) take(r *kgo.Record) error {
	c.at = r.Offset
	switch {
	case r.Attrs.IsControl():
		return nil
	case string(r.Key) == schemas.ProgressKey:
		progress, err := schemas.DecodeProgress(fromKafka(r))
		if err != nil {
			return fmt.Errorf("read progress record %d: %w", r.Offset, err)
		}
		// What was deleted after this record stays visible from its time on, not from that of reading it.
		c.last = stream.Checkpoint{TopicID: c.p.c.Topics.ChangelogID, Applied: r.Offset, Format: engine.FormatVersion,
			Input: progress.Input[c.p.c.Topics.Source], Generation: progress.Generation, Revision: progress.Revision,
			Clock: min(r.Timestamp.UnixNano(), c.p.c.Engine.Now()), Declared: progress.Declared}
		c.open, c.since = 0, 0
	default:
		c.entries = append(c.entries, stream.StateEntry{Key: r.Key, Value: r.Value})
		c.bytes += len(r.Key) + len(r.Value)
		c.read += int64(len(r.Key) + len(r.Value))
		c.open++
		c.since++
	}
	c.records++
	if len(c.entries) >= c.p.c.RestorePiece || c.bytes >= restorePieceOf {
		return c.apply()
	}
	return nil
}

// apply writes what was read. When the piece has a progress record, what comes after it waits for the next piece; else
// all is written, under the checkpoint that the store has: a crash repeats it.
func (c *catching) apply() error {
	mark, n := c.last, len(c.entries)-c.open
	if c.last.Applied == c.held.Applied || c.load != nil {
		mark, n = c.held, len(c.entries)
		c.open = 0
	}
	if mark.Applied < 0 {
		mark = none
		mark.TopicID, mark.Format, mark.Clock = c.p.c.Topics.ChangelogID, engine.FormatVersion, c.p.c.Engine.Now()
	}
	if err := c.store.Apply(c.entries[:n], mark); err != nil {
		return err
	}
	c.applied.Add(int64(n))
	c.held = mark
	c.entries = append([]stream.StateEntry(nil), c.entries[n:]...)
	c.bytes = 0
	for _, e := range c.entries {
		c.bytes += len(e.Key) + len(e.Value)
	}
	return nil
}

// end writes the rest of a restore that has reached its target: nothing that was deleted was missed, as of now.
func (c *catching) end() (stream.Checkpoint, error) {
	if c.since > 0 {
		return c.held, stream.Errorf(stream.Internal, "restore", "the changelog ends without a progress record")
	}
	if c.last.Applied >= 0 {
		c.last.Clock = c.p.c.Engine.Now()
	}
	if c.last.Applied == c.held.Applied {
		c.held = c.last
	}
	write := c.apply
	if c.load != nil {
		write = c.loaded
	}
	if err := write(); err != nil {
		return c.held, storeError("apply restored state", err)
	}
	return c.held, nil
}

// storeError classes what a store did not take: a disk that is full for now is waited for, anything else needs a person.
func storeError(op string, err error) error {
	kind := stream.Internal
	if stream.KindOf(err) == stream.Transient {
		kind = stream.Transient
	}
	return &stream.Error{Op: op, Kind: kind, Err: err}
}
