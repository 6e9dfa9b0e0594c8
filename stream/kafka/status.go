package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strconv"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/engine"
)

// publish notes after each round what Status says, so that asking never touches the loop's own structures.
func (p *Processor) publish() {
	if p.applying != nil {
		return // partitions are not looked at before they are settled: the next round publishes when they are
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.published, p.missing = nil, p.assign.missing(ProcessorGroup(p.c.Topics.Flow))
	for id, o := range p.parts {
		s := PartitionStatus{Partition: id, State: "ready", Next: max(o.next, o.done), Stats: o.part.Stats(), Backlog: o.part.Backlog(), Parked: o.part.Parked(),
			Busy: o.part.Busy() || p.passDue(o) || p.passAwaited(o)}
		switch {
		case o.failure != nil:
			s.State, s.Error = "stopped", o.failure.Error()
		case s.Backlog > 0:
			s.State = "re-evaluating"
		}
		p.published = append(p.published, s)
	}
}

// Status returns the replica's partitions, in order.
func (p *Processor) Status() []PartitionStatus {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := append([]PartitionStatus(nil), p.published...)
	for _, o := range p.opened {
		out = append(out, PartitionStatus{Partition: o.id, State: "restoring", Restore: o.progress.now()})
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Partition < out[j].Partition })
	return out
}

// BackfillStatus is what a replica says of the documents that a changed flow has evaluated again.
type BackfillStatus struct {
	Left      int // of this replica's partitions
	Paused    bool
	Rate      float64 // documents a second that are asked for, over all replicas; 0: as fast as it goes
	PerSecond float64 // of this replica, as measured; 0: not known yet
	Seconds   float64 // until it is done, at that speed; 0: not known
}

// Backfill says how the backfill goes; nil when nothing is left of it.
func (p *Processor) Backfill() *BackfillStatus {
	var b BackfillStatus
	for _, s := range p.Status() {
		b.Left += s.Backlog
	}
	if b.Left == 0 {
		return nil
	}
	pace := p.pacer.pace()
	b.Paused, b.Rate = pace.Paused, pace.Rate
	if b.PerSecond = p.pacer.speed(p.now()); b.PerSecond > 0 && !b.Paused {
		b.Seconds = float64(b.Left) / b.PerSecond
	}
	return &b
}

// Missing says what has to come about before this replica does its work: it joins the group, its partitions are restored.
// Nothing is missing while the group gives it no partition.
func (p *Processor) Missing() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.assign == nil {
		return []string{"not a member of group " + ProcessorGroup(p.c.Topics.Flow) + " yet"}
	}
	out := slices.Clone(p.missing)
	for _, o := range p.opened {
		out = append(out, fmt.Sprintf("partition %d is being restored", o.id))
	}
	return out
}

// Missing says what has to come about before this replica delivers: it joins the target's group.
func (d *Delivery) Missing() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.assign == nil {
		return []string{"not a member of group " + TargetGroup(d.c.Topics.Flow, d.c.Target) + " yet"}
	}
	return d.assign.missing(TargetGroup(d.c.Topics.Flow, d.c.Target))
}

// Totals adds up the state of the replica's partitions.
func Totals(parts []PartitionStatus) engine.Stats {
	sum := engine.Stats{Rows: map[string]int64{}}
	for _, s := range parts {
		sum.Add(s.Stats)
	}
	return sum
}

// Lag is how far one group is behind its topic.
type Lag struct {
	Group      string          `json:"group"`
	Topic      string          `json:"topic"`
	Partitions map[int32]int64 `json:"partitions"` // records between the committed offset and the stable end
	Total      int64           `json:"total"`
}

// Lags returns the lag of a flow's groups: the processors' on the source, the targets' on the rows topic, and the intake's
// on each of its sources' topics. Records of
// control that end a transaction count as stepped over.
func (c Cluster) Lags(ctx context.Context, t Topics, targets []string) (out []Lag, err error) {
	err = c.admin(func(adm *kadm.Client) error {
		source, err := lag(ctx, adm, ProcessorGroup(t.Flow), t.Source)
		out = append(out, source)
		for _, target := range targets {
			if err != nil {
				break
			}
			var l Lag
			l, err = lag(ctx, adm, TargetGroup(t.Flow, target), rowsTopic(t.Flow))
			out = append(out, l)
		}
		if err == nil && t.Intake() {
			var intake []Lag
			intake, err = intakeLags(ctx, adm, t)
			out = append(out, intake...)
		}
		return err
	})
	return out, err
}

func intakeLags(ctx context.Context, adm *kadm.Client, t Topics) (out []Lag, err error) {
	for _, in := range t.Inputs {
		l, err := lag(ctx, adm, IntakeGroup(t.Flow), in.Topic)
		if err != nil {
			return out, err
		}
		out = append(out, l)
	}
	return out, nil
}

// Behind returns how many records this replica of the intake still has to take in, of the partitions it owns, and whether
// it owns all of them.
func (n *Intake) Behind(ctx context.Context) (records int64, all bool, err error) {
	err = n.c.Cluster.admin(func(adm *kadm.Client) error {
		var topics []string
		left := 0
		for _, in := range n.c.Topics.Inputs {
			topics, left = append(topics, in.Topic), left+int(in.Partitions)
		}
		starts, err := adm.ListStartOffsets(ctx, topics...)
		if err == nil {
			err = starts.Error()
		}
		if err != nil {
			return &stream.Error{Op: "list offsets", Kind: stream.Transient, Err: err}
		}
		ends, err := adm.ListEndOffsets(ctx, topics...)
		if err == nil {
			err = ends.Error()
		}
		if err != nil {
			return &stream.Error{Op: "list offsets", Kind: stream.Transient, Err: err}
		}
		for _, at := range n.Status() {
			start, _ := starts.Lookup(at.Topic, at.Partition)
			end, _ := ends.Lookup(at.Topic, at.Partition)
			records += max(0, end.Offset-max(at.Next, start.Offset))
			left--
		}
		all = left == 0
		return nil
	})
	return records, all, err
}

func lag(ctx context.Context, adm *kadm.Client, group, topic string) (Lag, error) {
	l := Lag{Group: group, Topic: topic, Partitions: map[int32]int64{}}
	end, err := ends(adm.ListCommittedOffsets(ctx, topic))
	if err != nil {
		return l, err
	}
	start, err := ends(adm.ListStartOffsets(ctx, topic))
	if err != nil {
		return l, err
	}
	offsets, err := adm.FetchOffsets(ctx, group)
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		return l, &stream.Error{Op: "read the offsets of group " + group, Kind: stream.Transient, Err: err}
	}
	for p, e := range end {
		at := start[p]
		if o, ok := offsets.Lookup(topic, p); ok && o.At >= 0 {
			at = o.At
		}
		l.Partitions[p] = max(0, e-at)
		l.Total += l.Partitions[p]
	}
	return l, nil
}

// SourceEnds returns the high watermarks of a flow's source.
func (c Cluster) SourceEnds(ctx context.Context, t Topics) (Ends, error) {
	return c.topicEnds(ctx, t.Source)
}

// RowsEnds returns the high watermarks of a flow's rows topic. The last stable offset would not do: what a transaction
// committed stays invisible until its marker is written, so a reader at the stable end may still be behind.
func (c Cluster) RowsEnds(ctx context.Context, t Topics) (Ends, error) {
	return c.topicEnds(ctx, rowsTopic(t.Flow))
}

func (c Cluster) topicEnds(ctx context.Context, topic string) (e Ends, err error) {
	err = c.admin(func(adm *kadm.Client) error {
		e, err = ends(adm.ListEndOffsets(ctx, topic))
		return err
	})
	return e, err
}

// Members returns the control addresses of a group's members.
func (c Cluster) Members(ctx context.Context, group string) (addresses []string, err error) {
	err = c.admin(func(adm *kadm.Client) error {
		described, err := adm.DescribeGroups(ctx, group)
		if err != nil {
			return &stream.Error{Op: "describe group " + group, Kind: stream.Transient, Err: err}
		}
		for _, m := range described[group].Members {
			joined, ok := m.Join.AsConsumer()
			if !ok {
				continue
			}
			if a := controlAddress(joined.UserData); a != "" {
				addresses = append(addresses, a)
			}
		}
		return nil
	})
	return addresses, err
}

func partitionText(p int32) string { return strconv.Itoa(int(p)) }
