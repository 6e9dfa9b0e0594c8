package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-dev/freshet/schemas"
	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/engine"
)

// logs are the offsets that a restore decides by.
type logs struct {
	changelogStart, changelogEnd int64 // the end is the high watermark, never the last stable offset
	sourceStart                  int64
}

// restore opens a partition's store, brings it to exactly what the group has committed, and checks that it fits.
func (p *Processor) restore(ctx context.Context, id int32, r ready) (_ *owned, err error) {
	at, err := p.logs(ctx, id)
	if err != nil {
		return nil, err
	}
	meta, known := p.commitMeta(r)
	if err := p.checkMeta(id, meta, known); err != nil {
		return nil, err
	}
	store, held, err := p.openStore(id, meta, known, at)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, store.Close())
		}
	}()
	target := at.changelogEnd - 1
	if known {
		target = meta.Progress
	}
	if err := p.checkLog(id, held, target, at); err != nil {
		return nil, err
	}
	if held, err = p.catchUp(ctx, id, store, held, target); err != nil {
		return nil, err
	}
	next, err := p.checkInput(id, r, held, at)
	if err != nil {
		return nil, err
	}
	scan := held.Revision != p.c.Engine.Program.Logic() && held.Applied >= 0
	part, err := engine.OpenPartition(id, store, p.c.Engine, scan)
	if err != nil {
		return nil, &stream.Error{Op: "open the state of partition " + partitionText(id), Kind: stream.Internal, Err: err}
	}
	return &owned{id: id, store: store, part: part, next: next, read: next, logic: held.Revision}, nil
}

func (p *Processor) logs(ctx context.Context, id int32) (l logs, err error) {
	err = p.c.Cluster.admin(func(adm *kadm.Client) error {
		starts, err := adm.ListStartOffsets(ctx, changelogTopic(p.c.Topics.Flow), p.c.Topics.Source)
		if err != nil {
			return err
		}
		highs, err := adm.ListEndOffsets(ctx, changelogTopic(p.c.Topics.Flow))
		if err != nil {
			return err
		}
		a, _ := starts.Lookup(changelogTopic(p.c.Topics.Flow), id)
		b, _ := highs.Lookup(changelogTopic(p.c.Topics.Flow), id)
		c, _ := starts.Lookup(p.c.Topics.Source, id)
		l = logs{changelogStart: a.Offset, changelogEnd: b.Offset, sourceStart: c.Offset}
		return errors.Join(a.Err, b.Err, c.Err)
	})
	if err != nil {
		err = &stream.Error{Op: "list the offsets of partition " + partitionText(id), Kind: stream.Transient, Err: err}
	}
	return l, err
}

// commitMeta reads the metadata of the committed offset; metadata that is absent or not ours is not known.
func (p *Processor) commitMeta(r ready) (schemas.CommitMeta, bool) {
	if r.offset < 0 {
		return schemas.CommitMeta{}, false
	}
	m, err := schemas.DecodeCommit(r.metadata)
	return m, err == nil
}

func (p *Processor) checkMeta(id int32, m schemas.CommitMeta, known bool) error {
	t := p.c.Topics
	switch {
	case known && m.TopicID != t.ChangelogID:
		return stream.Errorf(stream.Usage, "restore partition "+partitionText(id), "the changelog %s was created anew (its ID is %s, the "+
			"committed offsets name %s); run: freshet reset -f FLOW", changelogTopic(t.Flow), t.ChangelogID, m.TopicID)
	case known && m.Generation != t.Generation.Generation:
		return stream.Errorf(stream.Usage, "restore partition "+partitionText(id), "the committed offsets are of generation %d, %s says %d; "+
			"run: freshet reset -f FLOW", m.Generation, metaTopic(t.Flow), t.Generation.Generation)
	}
	return nil
}

// none is the checkpoint of an empty store.
var none = stream.Checkpoint{Applied: -1, Input: -1}

// openStore opens the local store, wiping it first when it can't be continued (DESIGN.md, Restore).
func (p *Processor) openStore(id int32, m schemas.CommitMeta, known bool, at logs) (Store, stream.Checkpoint, error) {
	store, err := p.c.Stores.Open(id)
	if err != nil && stream.KindOf(err) == stream.Internal { // its files are damaged: they are only a copy of the changelog
		p.log.Warn("local state can't be read; it is restored from the changelog", "flow", p.c.Topics.Flow, "partition", id, "error", err)
		if err = p.c.Stores.Wipe(id); err == nil {
			store, err = p.c.Stores.Open(id)
		}
	}
	if err != nil {
		return nil, none, err
	}
	held, ok, err := store.Checkpoint()
	if err == nil && !ok {
		return store, none, nil
	}
	why := ""
	if err != nil {
		why = "its checkpoint can't be read: " + err.Error()
	} else {
		why = p.unusable(held, m, known, at)
	}
	if why == "" {
		return store, held, nil
	}
	p.log.Warn("local state is wiped and restored from the changelog", "flow", p.c.Topics.Flow, "partition", id, "reason", why)
	if err := errors.Join(store.Close(), p.c.Stores.Wipe(id)); err != nil {
		return nil, none, err
	}
	store, err = p.c.Stores.Open(id)
	return store, none, err
}

func (p *Processor) unusable(held stream.Checkpoint, m schemas.CommitMeta, known bool, at logs) string {
	age := time.Duration(p.c.Engine.Now() - held.Clock)
	switch {
	case held.TopicID != p.c.Topics.ChangelogID:
		return "it follows another changelog"
	case held.Format != engine.FormatVersion:
		return fmt.Sprintf("its format %d is unknown", held.Format)
	case known && held.Applied > m.Progress, !known && held.Applied >= at.changelogEnd:
		return "it is ahead of what was committed"
	case held.Applied+1 < at.changelogStart:
		return "the changelog begins later"
	case !p.c.Cluster.Embedded && age > p.c.Topics.Retention.Delete/2 && !(known && held.Applied == m.Progress):
		return "it is older than half of the changelog's delete retention, so deletes may be missing"
	}
	return ""
}

// checkLog refuses a changelog that lacks what a restore would wait for.
func (p *Processor) checkLog(id int32, held stream.Checkpoint, target int64, at logs) error {
	if target < at.changelogEnd && (target <= held.Applied || target >= at.changelogStart) {
		return nil
	}
	p.Metrics.Divergences.Add(1)
	return stream.Errorf(stream.Usage, "restore partition "+partitionText(id), "the state is needed up to offset %d of %s, which holds offsets %d "+
		"to %d: the changelog lost records; run: freshet reset -f FLOW", target, changelogTopic(p.c.Topics.Flow), at.changelogStart, at.changelogEnd)
}

// checkInput compares what the state has folded with what the group has committed, and returns the next input offset.
func (p *Processor) checkInput(id int32, r ready, held stream.Checkpoint, at logs) (int64, error) {
	op := "restore partition " + partitionText(id)
	switch {
	case r.offset < 0 && held.Applied < 0:
		return at.sourceStart, nil
	case r.offset < 0 && held.Input < at.sourceStart:
		return 0, stream.Errorf(stream.Usage, op, "the group's offsets are gone and %s no longer holds offset %d, where the state ends; run: freshet reset -f FLOW",
			p.c.Topics.Source, held.Input)
	case r.offset < 0:
		return held.Input, nil
	case held.Input != r.offset:
		p.Metrics.Divergences.Add(1)
		return 0, stream.Errorf(stream.Usage, op, "the state ends at source offset %d but offset %d is committed; someone moved the offsets "+
			"of group %s, or the changelog lost records: run: freshet reset -f FLOW", held.Input, r.offset, ProcessorGroup(p.c.Topics.Flow))
	}
	return r.offset, nil
}

const (
	restorePiece   = 10_000
	restorePieceOf = 8 << 20 // bytes
)

// catchUp applies the changelog after what the store holds, up to target. The checkpoint moves only at progress
// records; a crash in between repeats from the old one, which changes nothing.
func (p *Processor) catchUp(ctx context.Context, id int32, store Store, held stream.Checkpoint, target int64) (stream.Checkpoint, error) {
	if target <= held.Applied {
		return held, nil
	}
	op := "restore partition " + partitionText(id)
	topic := changelogTopic(p.c.Topics.Flow)
	from := kgo.NewOffset().At(held.Applied + 1)
	if held.Applied < 0 {
		from = kgo.NewOffset().AtStart()
	}
	cl, err := p.c.Cluster.client(
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {id: from}}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(), kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.FetchMaxPartitionBytes(4<<20), kgo.FetchMaxBytes(16<<20), kgo.FetchMaxWait(100*time.Millisecond))
	if err != nil {
		return held, err
	}
	defer cl.Close()
	c := &catching{p: p, store: store, held: held, last: held, left: target - held.Applied}
	p.Metrics.RestoreRemaining.Add(c.left)
	defer func() { p.Metrics.RestoreRemaining.Add(-c.left) }()
	for c.at < target {
		fetches := cl.PollRecords(ctx, restorePiece)
		if ctx.Err() != nil {
			return held, &stream.Error{Op: op, Kind: stream.Transient, Err: ctx.Err()}
		}
		for _, e := range fetches.Errors() {
			if errors.Is(e.Err, kerr.OffsetOutOfRange) {
				return held, &stream.Error{Op: op, Kind: stream.Transient, Err: e.Err}
			}
			p.log.Warn("reading the changelog failed; it is tried again", "partition", id, "error", e.Err)
		}
		if fetches.NumRecords() > 0 {
			p.Metrics.RestoreFetches.Add(1)
		}
		for iter := fetches.RecordIter(); !iter.Done() && c.at < target; {
			p.c.At("F14")
			if err := c.take(iter.Next()); err != nil {
				return held, &stream.Error{Op: op, Kind: stream.Internal, Err: err}
			}
		}
	}
	return c.end()
}

// catching is a restore under way.
type catching struct {
	p       *Processor
	store   Store
	held    stream.Checkpoint // in the store
	last    stream.Checkpoint // of the last progress record read
	entries []stream.StateEntry
	since   int // entries since last
	bytes   int
	at      int64
	left    int64
}

func (c *catching) take(r *kgo.Record) error {
	c.left -= max(0, r.Offset-max(c.at, c.held.Applied))
	c.p.Metrics.RestoreRemaining.Add(-max(0, r.Offset-max(c.at, c.held.Applied)))
	c.at = r.Offset
	switch {
	case r.Attrs.IsControl():
		return nil
	case string(r.Key) == schemas.ProgressKey:
		progress, err := schemas.DecodeProgress(fromKafka(r))
		if err != nil {
			return fmt.Errorf("read progress record %d: %w", r.Offset, err)
		}
		c.last = stream.Checkpoint{TopicID: c.p.c.Topics.ChangelogID, Applied: r.Offset, Format: engine.FormatVersion,
			Input: progress.Input[c.p.c.Topics.Source], Generation: progress.Generation, Revision: progress.Revision, Clock: c.p.c.Engine.Now()}
		c.since = 0
	default:
		c.entries = append(c.entries, stream.StateEntry{Key: r.Key, Value: r.Value})
		c.bytes += len(r.Key) + len(r.Value)
		c.since++
	}
	if len(c.entries) >= restorePiece || c.bytes >= restorePieceOf {
		return c.apply()
	}
	return nil
}

// apply writes what was read; with entries after the last progress record the checkpoint stays where it was, so that a
// crash repeats them.
func (c *catching) apply() error {
	mark := c.held
	if c.since == 0 {
		mark = c.last
	}
	if mark.Applied < 0 {
		mark = none
		mark.TopicID, mark.Format, mark.Clock = c.p.c.Topics.ChangelogID, engine.FormatVersion, c.p.c.Engine.Now()
	}
	if err := c.store.Apply(c.entries, mark); err != nil {
		return err
	}
	c.p.Metrics.RestoredRecords.Add(int64(len(c.entries)))
	c.held, c.entries, c.bytes = mark, nil, 0
	return nil
}

func (c *catching) end() (stream.Checkpoint, error) {
	if c.since > 0 {
		return c.held, stream.Errorf(stream.Internal, "restore", "the changelog ends without a progress record")
	}
	if err := c.apply(); err != nil {
		return c.held, &stream.Error{Op: "apply restored state", Kind: stream.Internal, Err: err}
	}
	return c.held, nil
}
