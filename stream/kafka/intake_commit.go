package kafka

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet-dev/freshet/schemas"
	"github.com/freshet-dev/freshet/stream"
)

// commit writes a batch in one transaction with the offsets of the sources. A transaction always has records, so it is
// never one of offsets alone, and always states offsets, without which the group's generation would not fence it.
//
// An error from End leaves the outcome unknown: the session ends, and the next one reads what is committed.
func (n *Intake) commit(ctx context.Context, b *batch) error {
	defer n.Pulse.wait()()
	n.begun = time.Now()
	n.c.At("I1")
	if err := n.gts.Begin(); err != nil {
		return fmt.Errorf("begin a transaction: %w", err)
	}
	n.c.At("I2")
	ctx, cancel := outlive(ctx, n.c.Cluster.patience())
	defer cancel()
	failure := n.produce(ctx, b)
	n.c.At("I6")
	ok, err := n.gts.End(kgo.PreTxnCommitFnContext(ctx, n.offsets(b)), kgo.TransactionEndTry(failure == nil))
	if err != nil {
		return fmt.Errorf("end a transaction (its outcome is unknown; what is committed will be asked for): %w", err)
	}
	if !ok {
		return n.aborted(failure)
	}
	n.c.At("I11")
	n.at.passed(b)
	n.Metrics.Commits.Add(1)
	n.Metrics.Records.Add(int64(len(b.records)))
	return nil
}

// produce sends all records, in the order in which they were read, and waits until they are acknowledged.
func (n *Intake) produce(ctx context.Context, b *batch) error {
	first := kgo.AbortingFirstErrPromise(n.gts.Client())
	topic := IntakeTopic(n.c.Topics.Flow)
	var acknowledged atomic.Int64
	for _, r := range b.records {
		out, err := n.rekeyed(r)
		if err != nil {
			return err
		}
		done := first.Promise()
		n.gts.Produce(ctx, toKafka(topic, 0, &out), func(r *kgo.Record, err error) {
			done(r, err)
			if acknowledged.Add(1) == 2 {
				n.c.At("I3")
			}
		})
	}
	n.c.At("I4")
	if err := n.gts.Client().Flush(ctx); err != nil {
		return err // asked to stop while no broker answers: what was sent once is never given up, so nobody waits for it
	}
	n.c.At("I5")
	return first.Err()
}

// rekeyed is the record of the intake topic. A record that its decoder does not understand is passed on, under the
// document's ID if it names one, for the processor to quarantine it.
func (n *Intake) rekeyed(r *kgo.Record) (stream.Record, error) {
	in := schemas.IntakeRecord{Source: n.c.Sources[r.Topic].Name, Original: fromKafka(r)}
	change, err := n.c.Sources[r.Topic].Decoder.Decode(in.Original)
	if err != nil && stream.KindOf(err) != stream.Invalid {
		return stream.Record{}, fmt.Errorf("decode record %s/%d@%d: %w", r.Topic, r.Partition, r.Offset, err)
	}
	if change.Op != stream.Other {
		in.Document = change.Document
	}
	out := schemas.EncodeIntake(in)
	if size := sizeOf(&out); size > MaxRecord {
		in.Refused = fmt.Sprintf("the record has %d bytes with its position, more than the %d of the intake topic", size, MaxRecord)
		out = schemas.EncodeIntake(in)
	}
	return out, nil
}

func sizeOf(r *stream.Record) int {
	size := len(r.Key) + len(r.Value)
	for _, h := range r.Headers {
		size += len(h.Key) + len(h.Value)
	}
	return size
}

// offsets states where each partition of the batch goes on.
func (n *Intake) offsets(b *batch) func(*kmsg.TxnOffsetCommitRequest) error {
	return func(req *kmsg.TxnOffsetCommitRequest) error {
		if !n.at.owns(b) {
			return fmt.Errorf("partitions left since they were read: %w", kerr.IllegalGeneration)
		}
		byTopic := map[string]int{}
		req.Topics = nil
		for tp, read := range b.read {
			i, ok := byTopic[tp.topic]
			if !ok {
				i = len(req.Topics)
				byTopic[tp.topic] = i
				t := kmsg.NewTxnOffsetCommitRequestTopic()
				t.Topic = tp.topic
				req.Topics = append(req.Topics, t)
			}
			part := kmsg.NewTxnOffsetCommitRequestTopicPartition()
			part.Partition, part.Offset, part.LeaderEpoch = tp.partition, read.next, -1
			req.Topics[i].Partitions = append(req.Topics[i].Partitions, part)
		}
		return nil
	}
}

// aborted has everything that is not committed read again.
func (n *Intake) aborted(failure error) error {
	n.Metrics.Aborts.Add(1)
	n.gts.Client().SetOffsets(n.at.rewind())
	if failure == nil {
		n.log.Info("a transaction of the intake was aborted, since partitions moved; it is done again", "flow", n.c.Topics.Flow)
		return nil
	}
	if retriable(failure) {
		n.log.Warn("a transaction of the intake was aborted; it is done again", "flow", n.c.Topics.Flow, "error", failure)
		return nil
	}
	return fmt.Errorf("write a transaction: %w", failure)
}
