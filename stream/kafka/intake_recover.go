package kafka

import (
	"context"
	"errors"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet-dev/freshet/schemas"
	"github.com/freshet-dev/freshet/stream"
)

// recover writes the group's offsets again when they are gone (a group without members forgets them after a while): the
// intake topic itself says how far each source partition was taken in. What it can't say is halted on, not read again.
func (n *Intake) recover(ctx context.Context) error {
	return n.c.Cluster.admin(func(adm *kadm.Client) error {
		group := IntakeGroup(n.c.Topics.Flow)
		held, err := adm.FetchOffsets(ctx, group)
		if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
			return &stream.Error{Op: "read the offsets of group " + group, Kind: stream.Transient, Err: err}
		}
		if len(held) > 0 {
			return nil
		}
		if held, err := n.anyCommitted(ctx); held || err != nil {
			return err
		}
		filled, err := n.filled(ctx, adm)
		if err != nil || !filled {
			return err // it never took anything in
		}
		return n.recommit(ctx, adm, group)
	})
}

// anyCommitted asks for every partition. While the outcome of a transaction is open the answer is an error: what it
// committed would be missed.
func (n *Intake) anyCommitted(ctx context.Context) (held bool, err error) {
	group := kmsg.NewOffsetFetchRequestGroup()
	group.Group = IntakeGroup(n.c.Topics.Flow)
	for _, in := range n.c.Topics.Inputs {
		t := kmsg.NewOffsetFetchRequestGroupTopic()
		t.Topic = in.Topic
		for p := range in.Partitions {
			t.Partitions = append(t.Partitions, p)
		}
		group.Topics = append(group.Topics, t)
	}
	req := kmsg.NewPtrOffsetFetchRequest()
	req.RequireStable, req.Groups = true, append(req.Groups, group)
	cl, err := n.c.Cluster.client()
	if err != nil {
		return false, err
	}
	defer cl.Close()
	resp, err := req.RequestWith(ctx, cl)
	if err == nil {
		held, err = committedIn(resp)
	}
	if err != nil {
		err = &stream.Error{Op: "read the offsets of group " + group.Group, Kind: stream.Transient, Err: err}
	}
	return held, err
}

func committedIn(resp *kmsg.OffsetFetchResponse) (held bool, err error) {
	for _, g := range resp.Groups {
		if g.ErrorCode != 0 && g.ErrorCode != kerr.GroupIDNotFound.Code {
			return false, kerr.ErrorForCode(g.ErrorCode)
		}
		for _, t := range g.Topics {
			for _, p := range t.Partitions {
				err = errors.Join(err, kerr.ErrorForCode(p.ErrorCode))
				held = held || p.Offset >= 0
			}
		}
	}
	return held, err
}

// filled reports whether the intake topic holds something, all of it being decided.
func (n *Intake) filled(ctx context.Context, adm *kadm.Client) (filled bool, err error) {
	topic := IntakeTopic(n.c.Topics.Flow)
	start, err := ends(adm.ListStartOffsets(ctx, topic))
	if err != nil {
		return false, err
	}
	high, err := ends(adm.ListEndOffsets(ctx, topic))
	if err != nil {
		return false, err
	}
	stable, err := ends(adm.ListCommittedOffsets(ctx, topic))
	if err != nil {
		return false, err
	}
	for p, end := range high {
		if stable[p] < end {
			return false, stream.Errorf(stream.Transient, n.op(), "a transaction is open on topic %s", topic)
		}
		if start[p] > 0 {
			return false, stream.Errorf(stream.Usage, n.op(), "the offsets of group %s are gone, and the oldest records of %s too, so that "+
				"nothing says how far the sources were taken in; run: freshet reset -f FLOW", IntakeGroup(n.c.Topics.Flow), topic)
		}
		filled = filled || end > 0
	}
	return filled, nil
}

func (n *Intake) recommit(ctx context.Context, adm *kadm.Client, group string) error {
	next := map[topicPartition]int64{}
	err := n.c.Cluster.scan(ctx, IntakeTopic(n.c.Topics.Flow), func(r *kgo.Record) error {
		in, err := schemas.DecodeIntake(fromKafka(r))
		if err == nil {
			tp := topicPartition{in.Original.Topic, in.Original.Partition}
			next[tp] = max(next[tp], in.Original.Offset+1)
		}
		return err
	})
	var offsets kadm.Offsets
	for tp, at := range next {
		if n.c.Topics.Input(tp.topic).Topic != "" {
			offsets.AddOffset(tp.topic, tp.partition, at, -1)
		}
	}
	if err != nil || len(offsets) == 0 {
		return err
	}
	n.log.Warn("the offsets of the intake were gone; they are written again as the intake topic says", "flow", n.c.Topics.Flow, "group", group)
	done, err := adm.CommitOffsets(ctx, group, offsets)
	if err == nil {
		err = done.Error()
	}
	busy := []error{kerr.UnknownMemberID, kerr.IllegalGeneration, kerr.RebalanceInProgress}
	if err != nil && !slices.ContainsFunc(busy, func(e error) bool { return errors.Is(err, e) }) { // else another replica was faster
		return &stream.Error{Op: "write the offsets of group " + group, Kind: stream.Transient, Err: err}
	}
	return nil
}
