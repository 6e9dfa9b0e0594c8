package kafka

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A generation's first pass over the sources ends, partition by partition, when all is processed that the sources held
// when it began: after that, rows of older generations that were not written again are swept.

// passDue reports whether the partition has read all that its source held when the generation began, and did not say so.
func (p *Processor) passDue(o *owned) bool {
	ends, known := p.passEnds()
	read := max(o.next, o.done) // what is read last may be the end of a transaction, which alone is no reason to commit
	return p.passOpen(o) && known && read >= ends[o.id] && !o.part.Busy()
}

// passOpen reports whether the partition has still to say that the generation's first pass is over.
func (p *Processor) passOpen(o *owned) bool {
	g := p.c.Topics.Generation
	return g.Generation > o.part.PassMarked() && (g.ResetEnds != nil || g.IntakeEnds != nil)
}

// passAwaited reports whether the pass can't end yet because the intake has not taken in what the sources held.
func (p *Processor) passAwaited(o *owned) bool {
	_, known := p.passEnds()
	return !known && p.passOpen(o)
}

// passEnds are the offsets up to which the pass goes. With an intake they are known once it has taken in what the
// sources held.
func (p *Processor) passEnds() (ends Ends, known bool) {
	g := p.c.Topics.Generation
	if g.IntakeEnds == nil {
		return Ends(g.ResetEnds), g.ResetEnds != nil
	}
	return p.takenIn, p.takenIn != nil
}

// askEvery is how often it is asked how far the intake is.
const askEvery = time.Second

// learnPass asks how far the intake is, while that decides whether the pass is over. When it can't be learned it is
// asked again.
func (p *Processor) learnPass(ctx context.Context) {
	sources := p.c.Topics.Generation.IntakeEnds
	if sources == nil || p.takenIn != nil || p.applying != nil || time.Since(p.asked) < askEvery {
		return // while transactions are applied nothing is awaited, and nobody looks at partitions: mayRunAhead
	}
	if !slices.ContainsFunc(slices.Collect(maps.Values(p.parts)), p.passOpen) {
		return
	}
	p.asked = time.Now()
	defer p.Pulse.wait()()
	err := p.c.Cluster.admin(func(adm *kadm.Client) error {
		open, err := openSpans(ctx, adm, IntakeGroup(p.c.Topics.Flow), sources)
		if err != nil {
			return err
		}
		if nothing, err := p.c.Cluster.holdNothing(ctx, open); err != nil || !nothing {
			return err
		}
		// What the intake committed lies below the topic's ends of now.
		p.takenIn, err = ends(adm.ListEndOffsets(ctx, p.c.Topics.Source))
		return err
	})
	if err != nil {
		p.log.Info("how far the intake is can't be learned; it is asked again", "flow", p.c.Topics.Flow, "error", err)
	}
}

// span is a range of offsets of one partition, the end excluded.
type span struct{ from, end int64 }

// openSpans are what a group has not committed of what topics held.
func openSpans(ctx context.Context, adm *kadm.Client, group string, held map[string]map[int32]int64) (map[topicPartition]span, error) {
	at, err := adm.FetchOffsets(ctx, group)
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		return nil, err
	}
	starts, err := adm.ListStartOffsets(ctx, slices.Collect(maps.Keys(held))...)
	if err != nil {
		return nil, err
	}
	open := map[topicPartition]span{}
	for topic, byPartition := range held {
		for partition, end := range byPartition {
			start, _ := starts.Lookup(topic, partition)
			if start.Err != nil {
				return nil, start.Err
			}
			s := span{start.Offset, end}
			if committed, ok := at.Lookup(topic, partition); ok {
				s.from = max(s.from, committed.At)
			}
			if s.from < s.end {
				open[topicPartition{topic, partition}] = s
			}
		}
	}
	return open, nil
}

// holdNothing reports whether the spans hold no records but those of control, which nobody commits offsets for.
func (c Cluster) holdNothing(ctx context.Context, open map[topicPartition]span) (bool, error) {
	if len(open) == 0 {
		return true, nil
	}
	from := map[string]map[int32]kgo.Offset{}
	for tp, s := range open {
		if from[tp.topic] == nil {
			from[tp.topic] = map[int32]kgo.Offset{}
		}
		from[tp.topic][tp.partition] = kgo.NewOffset().At(s.from)
	}
	cl, err := c.client(kgo.ConsumePartitions(from), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()), kgo.FetchMaxWait(100*time.Millisecond))
	if err != nil {
		return false, err
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(ctx, askEvery)
	defer cancel()
	for len(open) > 0 && ctx.Err() == nil {
		for iter := cl.PollRecords(ctx, 100).RecordIter(); !iter.Done(); {
			r := iter.Next()
			tp := topicPartition{r.Topic, r.Partition}
			if s, ok := open[tp]; ok && r.Offset < s.end && !r.Attrs.IsControl() {
				return false, nil
			} else if ok && r.Offset >= s.end-1 {
				delete(open, tp)
			}
		}
	}
	return len(open) == 0, nil
}
