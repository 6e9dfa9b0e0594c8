package kafka

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/freshet-dev/freshet/schemas"
	"github.com/freshet-dev/freshet/stream"
)

// Reset begins a new generation: it deletes the rows topic, the changelog and the processors' offsets, creates the topics
// anew, and records 1 + the highest generation known (to the meta topic, to the group's offsets, or in above, from targets),
// with the source's ends of now. The source is untouched, unless the watcher has to write it again since it was given
// partitions: everything is processed again from it; with an intake, everything is taken in again. No replica may run.
// Repeating it after a crash is safe: the generation is recorded before anything is deleted, and the new topics' IDs last; a
// start in between is refused.
func (c Cluster) Reset(ctx context.Context, flow string, source Source, above int64) (g schemas.Generation, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	err = c.admin(func(adm *kadm.Client) error {
		if err := errors.Join(noMembers(ctx, adm, ProcessorGroup(flow)), noMembers(ctx, adm, IntakeGroup(flow))); err != nil {
			return err
		}
		details, err := adm.ListBrokers(ctx)
		if err != nil {
			return &stream.Error{Op: "list brokers", Kind: stream.Transient, Err: err}
		}
		replicas := int16(min(3, len(details)))
		again, err := c.grown(ctx, adm, flow, source)
		if err != nil {
			return err
		}
		if err := remove(ctx, adm, again...); err != nil {
			return err
		}
		var partitions int32
		for _, in := range source.inputs() {
			if partitions, err = ensureSource(ctx, adm, in, replicas); err != nil {
				return err
			}
		}
		own := compacted(DefaultRetention, replicas)
		if err := create(ctx, adm, metaTopic(flow), 1, replicas, own); err != nil {
			return err
		}
		gone, err := look(ctx, adm, source.names(flow))
		if err != nil {
			return err
		}
		if g, err = c.nextGeneration(ctx, adm, flow, source, above); err != nil {
			return err
		}
		if err := forget(ctx, adm, flow); err != nil {
			return err
		}
		if source.From != nil { // the intake topic is gone, and may have another partition count now
			if partitions, err = ensureSource(ctx, adm, source, replicas); err != nil {
				return err
			}
		}
		for _, topic := range []string{rowsTopic(flow), changelogTopic(flow)} {
			if err := create(ctx, adm, topic, partitions, replicas, own); err != nil {
				return err
			}
		}
		_, err = c.record(ctx, adm, flow, source, schemas.Meta{}, g.Generation, gone)
		return err
	})
	return g, err
}

// noMembers refuses while replicas run.
func noMembers(ctx context.Context, adm *kadm.Client, group string) error {
	described, err := adm.DescribeGroups(ctx, group)
	if err != nil {
		return &stream.Error{Op: "describe group " + group, Kind: stream.Transient, Err: err}
	}
	if n := len(described[group].Members); n > 0 {
		return stream.Errorf(stream.Usage, "reset the flow", "%d replicas of group %s run; stop them first (Kafka notices within 10 s that a replica has ended)", n, group)
	}
	return nil
}

func (c Cluster) nextGeneration(ctx context.Context, adm *kadm.Client, flow string, source Source, above int64) (schemas.Generation, error) {
	m, err := c.meta(ctx, flow)
	if err != nil {
		return schemas.Generation{}, err
	}
	committed, err := committedGeneration(ctx, adm, flow)
	if err != nil {
		return schemas.Generation{}, err
	}
	g := schemas.Generation{Generation: max(value(m.Generation).Generation, value(m.Topics).Generation, committed, above) + 1, Created: time.Now().UnixNano()}
	for _, in := range source.inputs() {
		at, err := ends(adm.ListEndOffsets(ctx, in.Topic))
		if err != nil {
			return g, err
		}
		if source.From == nil {
			g.ResetEnds = at
			break
		}
		if g.IntakeEnds == nil {
			g.IntakeEnds = map[string]map[int32]int64{}
		}
		g.IntakeEnds[in.Topic] = at
	}
	return g, c.writeGeneration(ctx, flow, g)
}

// committedGeneration is the highest one that the processors' committed offsets tell; the meta topic may be gone.
func committedGeneration(ctx context.Context, adm *kadm.Client, flow string) (highest int64, err error) {
	held, err := groupOffsets(ctx, adm, ProcessorGroup(flow))
	if err != nil {
		return 0, err
	}
	held.Each(func(o kadm.OffsetResponse) {
		if m, err := schemas.DecodeCommit(o.Metadata); err == nil {
			highest = max(highest, m.Generation)
		}
	})
	return highest, nil
}

// forget deletes what the flow derived from its source, and waits until it is gone.
func forget(ctx context.Context, adm *kadm.Client, flow string) error {
	if err := remove(ctx, adm, rowsTopic(flow), changelogTopic(flow), IntakeTopic(flow)); err != nil {
		return err
	}
	for _, group := range []string{ProcessorGroup(flow), IntakeGroup(flow)} {
		if _, err := adm.DeleteGroup(ctx, group); err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
			return &stream.Error{Op: "delete the offsets of group " + group, Kind: stream.Usage, Err: err}
		}
	}
	return nil
}

// remove deletes topics and waits until they are gone.
func remove(ctx context.Context, adm *kadm.Client, topics ...string) error {
	if len(topics) == 0 {
		return nil
	}
	deleted, err := adm.DeleteTopics(ctx, topics...)
	for _, d := range deleted {
		if !errors.Is(d.Err, kerr.UnknownTopicOrPartition) {
			err = errors.Join(err, d.Err)
		}
	}
	if err != nil {
		return &stream.Error{Op: "delete the flow's topics", Kind: stream.Usage, Err: err}
	}
	for {
		details, err := adm.ListTopics(ctx, topics...)
		if err == nil && !slices.ContainsFunc(topics, details.Has) {
			return nil
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return &stream.Error{Op: "delete the flow's topics", Kind: stream.Transient, Err: err}
		}
	}
}
