package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

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
func (p *Processor) restore(ctx context.Context, o *opening, r ready) (_ *owned, err error) {
	id := o.id
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
	if held, err = p.catchUp(ctx, o, store, held, target); err != nil {
		return nil, err
	}
	next, err := p.checkInput(id, r, held, at)
	if err != nil {
		return nil, err
	}
	if held.Declared > p.c.Revision {
		return nil, &stream.Error{Op: "restore partition " + partitionText(id), Kind: stream.Usage, Err: &Outdated{Runs: p.c.Revision, Found: held.Declared}}
	}
	// A revision in between may have evaluated some documents, also where the logic is the same again.
	scan := held.Applied >= 0 && (held.Revision != p.c.Engine.Program.Logic() || held.Declared != p.c.Revision)
	part, err := engine.OpenPartition(id, store, p.c.Engine, scan)
	if err != nil {
		return nil, &stream.Error{Op: "open the state of partition " + partitionText(id), Kind: stream.Internal, Err: err}
	}
	logic := held.Revision
	if part.Backlog() > 0 && logic == p.c.Engine.Program.Logic() {
		logic = stream.Fingerprint{} // not of all documents any more
	}
	return &owned{id: id, store: store, part: part, next: next, read: next, logic: logic, applied: held.Applied}, nil
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
		if err := errors.Join(a.Err, b.Err, c.Err); err != nil {
			return err
		}
		return p.sameChangelog(ctx, adm)
	})
	if err != nil && stream.KindOf(err) != stream.Usage {
		err = &stream.Error{Op: "list the offsets of partition " + partitionText(id), Kind: stream.Transient, Err: err}
	}
	return l, err
}

// sameChangelog refuses a changelog that was created anew while this process ran.
func (p *Processor) sameChangelog(ctx context.Context, adm *kadm.Client) error {
	topic := changelogTopic(p.c.Topics.Flow)
	details, err := adm.ListTopics(ctx, topic)
	if err != nil {
		return err
	}
	d := details[topic]
	if d.Err != nil {
		return d.Err
	}
	if d.ID.String() != p.c.Topics.ChangelogID {
		return p.otherChangelog("read the changelog "+topic, p.c.Topics.ChangelogID, d.ID.String())
	}
	return nil
}

func (p *Processor) otherChangelog(op, expected, found string) error {
	return stream.Errorf(stream.Usage, op, "the changelog %s was created anew (its ID is %s, where %s is expected); run: freshet reset -f FLOW",
		changelogTopic(p.c.Topics.Flow), found, expected)
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
		return p.otherChangelog("restore partition "+partitionText(id), m.TopicID, t.ChangelogID)
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
	if err != nil && stream.KindOf(err) == stream.Internal && at.changelogStart == 0 { // its files are damaged: they are only a copy of the changelog
		p.log.Warn("local state can't be read; it is restored from the changelog", "flow", p.c.Topics.Flow, "partition", id, "error", err)
		if err = p.c.Stores.Wipe(id); err == nil {
			store, err = p.c.Stores.Open(id)
		}
	}
	if err != nil {
		return nil, none, err
	}
	held, ok, err := store.Checkpoint()
	why := ""
	switch {
	case err != nil:
		why = "its checkpoint can't be read: " + err.Error()
	case ok:
		why = p.unusable(held, m, known, at)
	default:
		held = none
		if why, err = leftover(store); err != nil {
			return nil, none, errors.Join(err, store.Close())
		}
	}
	if why == "" {
		return store, held, nil
	}
	if at.changelogStart > 0 { // a copy that can't be had again is not deleted
		return nil, none, errors.Join(p.headless(id, at), store.Close())
	}
	p.log.Warn("local state is wiped and restored from the changelog", "flow", p.c.Topics.Flow, "partition", id, "reason", why)
	p.mu.Lock()
	delete(p.disk, id)
	p.mu.Unlock()
	if err := errors.Join(store.Close(), p.c.Stores.Wipe(id)); err != nil {
		return nil, none, err
	}
	store, err = p.c.Stores.Open(id)
	return store, none, err
}

// leftover says why a store without a checkpoint can't be continued: what the write that was cut short left there may
// have been deleted in the log meanwhile.
func leftover(store Store) (why string, err error) {
	err = store.Scan(nil, nil, func(_, _ []byte) (bool, error) {
		why = "it has no checkpoint"
		return false, nil
	})
	return why, err
}

// headless refuses a changelog whose head was deleted: compaction never moves a log's start, so a log that begins later
// lost records, and what they held would be missing from a state that is read from it.
func (p *Processor) headless(id int32, at logs) error {
	p.Metrics.Divergences.Add(1)
	return stream.Errorf(stream.Usage, "restore partition "+partitionText(id), "the state is needed from the start of %s, which begins at "+
		"offset %d: the changelog lost records; run: freshet reset -f FLOW", changelogTopic(p.c.Topics.Flow), at.changelogStart)
}

func (p *Processor) unusable(held stream.Checkpoint, m schemas.CommitMeta, known bool, at logs) string {
	age := time.Duration(p.c.Engine.Now() - held.Clock)
	complete := known && held.Applied == m.Progress
	switch {
	case held.TopicID != p.c.Topics.ChangelogID:
		return "it follows another changelog"
	case held.Format != engine.FormatVersion:
		return fmt.Sprintf("its format %d is unknown", held.Format)
	case known && held.Applied > m.Progress, !known && held.Applied >= at.changelogEnd:
		return "it is ahead of what was committed"
	case held.Applied < 0:
		return "the restore before did not reach a checkpoint" // what it wrote may have been deleted in the log meanwhile
	case held.Applied+1 < at.changelogStart && !complete:
		return "the changelog begins later"
	case !p.c.Cluster.Embedded && age > p.c.Topics.Retention.Delete/2 && !complete:
		return "it is older than half of the changelog's delete retention, so deletes may be missing"
	}
	return ""
}

// checkLog refuses a changelog that lacks what a restore would wait for.
func (p *Processor) checkLog(id int32, held stream.Checkpoint, target int64, at logs) error {
	switch {
	case target <= held.Applied && target < at.changelogEnd:
		return nil
	case target >= at.changelogEnd || target < at.changelogStart:
		p.Metrics.Divergences.Add(1)
		return stream.Errorf(stream.Usage, "restore partition "+partitionText(id), "the state is needed up to offset %d of %s, which holds offsets %d "+
			"to %d: the changelog lost records; run: freshet reset -f FLOW", target, changelogTopic(p.c.Topics.Flow), at.changelogStart, at.changelogEnd)
	case held.Applied < 0 && at.changelogStart > 0:
		return p.headless(id, at)
	}
	return nil
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
