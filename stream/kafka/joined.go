package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/freshet-dev/freshet/schemas"
	"github.com/freshet-dev/freshet/stream"
)

// takeAnew has sources that come back taken in from their start: a revision without them has deleted their documents and passed over records
// that were on their way. held is what the meta topic said before this start, so a topic that it lacks was not read then. Offsets go before
// the topic is recorded, and nobody takes it in before that: a crash in between repeats it.
//
// Race: a replica that started beside this one may have recorded the topic since, and have committed what it took in. So the meta topic is
// read once more; and offsets of a topic that a member reads can't be deleted, which is an error that passes.
func (c Cluster) takeAnew(ctx context.Context, adm *kadm.Client, flow string, source Source, held schemas.Meta) error {
	joined := joinedSince(held, source)
	if len(joined) == 0 {
		return nil
	}
	offsets, err := groupOffsets(ctx, adm, IntakeGroup(flow))
	if err != nil {
		return err
	}
	if stale(offsets, joined) == nil {
		return nil
	}
	if held, err = c.meta(ctx, flow); err != nil {
		return err
	}
	of := stale(offsets, joinedSince(held, source))
	done, err := adm.DeleteOffsets(ctx, IntakeGroup(flow), of)
	if err == nil {
		err = done.Error()
	}
	if err != nil { // such as members of a revision before the last, that are still to notice
		return &stream.Error{Op: "forget how far sources that come back were taken in by group " + IntakeGroup(flow), Kind: stream.Transient, Err: err}
	}
	c.Log.Info("sources that come back are taken in from their start", "flow", flow, "topics", of.Topics())
	return nil
}

// joinedSince are the topics of sources that the flow did not have when its topics were recorded; none for a flow that is new.
func joinedSince(held schemas.Meta, source Source) (topics []string) {
	if held.Topics == nil {
		return nil
	}
	for _, from := range source.From {
		if _, known := held.Topics.Topics[from.Topic]; !known {
			topics = append(topics, from.Topic)
		}
	}
	return topics
}

// stale are the offsets that are held of topics; nil: none.
func stale(offsets kadm.OffsetResponses, topics []string) (of kadm.TopicsSet) {
	for _, topic := range topics {
		for p := range offsets[topic] {
			of.Add(topic, p)
		}
	}
	return of
}

// Absent returns the topics of sources that others write and that are not there: a flow that reads them would not start.
func (c Cluster) Absent(ctx context.Context, source Source) (topics []string, err error) {
	var names []string
	for _, in := range source.inputs() {
		if !in.Ours {
			names = append(names, in.Topic)
		}
	}
	if len(names) == 0 {
		return nil, nil
	}
	var there map[string]schemas.Topic
	err = c.admin(func(adm *kadm.Client) (err error) {
		there, err = look(ctx, adm, names)
		return err
	})
	for _, name := range names {
		if _, found := there[name]; !found && err == nil {
			topics = append(topics, name)
		}
	}
	return topics, err
}
