package kafka

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet-dev/freshet/schemas"
	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/engine"
)

// written is what a transaction writes for one partition.
type written struct {
	owned    *owned
	tx       *engine.Tx
	out      *engine.Output
	mark     bool  // the generation's first pass ends with this transaction
	next     int64 // input offset to be committed
	revision stream.Fingerprint
	progress *kgo.Record
}

// commit writes the round in one transaction: row records, state entries, progress last, source offsets. Only after it
// committed are the entries applied to the stores.
//
// Invariant 1: offsets are committed by nothing but this transaction.
// Invariant 2: an error from End leaves the outcome unknown, so nothing is applied; a new session restores.
func (p *Processor) commit(ctx context.Context, r *round) error {
	all, broken := p.finish(r)
	if len(broken) > 0 {
		return p.breakOff(ctx, r, broken)
	}
	if len(all) == 0 {
		p.answer(r)
		return nil
	}
	p.begun = time.Now()
	ok, failure, err := p.transact(ctx, all)
	p.Metrics.TransactionNanoseconds.Add(time.Since(p.begun).Nanoseconds())
	if err != nil {
		return err
	}
	if !ok {
		return p.aborted(ctx, r, failure)
	}
	p.c.At("F11")
	p.aborts = 0
	p.Metrics.Commits.Add(1)
	if err := p.apply(all); err != nil {
		return err
	}
	p.answer(r) // applied: no round runs ahead while something is to be forgotten
	return nil
}

// transact asks the brokers for one transaction. failure is why it was aborted, when what was written was refused; after an
// error its outcome is unknown.
func (p *Processor) transact(ctx context.Context, all []*written) (ok bool, failure, err error) {
	defer p.Pulse.wait()()
	p.c.At("F1")
	if err := p.gts.Begin(); err != nil {
		return false, nil, fmt.Errorf("begin a transaction: %w", err)
	}
	p.c.At("F2")
	ctx, cancel := outlive(ctx, p.c.Cluster.patience())
	defer cancel()
	failure = p.produce(ctx, all)
	p.c.At("F6")
	ok, err = p.gts.End(kgo.PreTxnCommitFnContext(ctx, p.offsets(all)), kgo.TransactionEndTry(failure == nil))
	if err != nil {
		err = fmt.Errorf("end a transaction (its outcome is unknown; the state will be restored): %w", err)
	}
	return ok, failure, err
}

// outlive returns a context that ends only d after ctx. A transaction outlives a request to stop, since a cancelled End
// leaves the outcome unknown; but no longer than the broker keeps it, which may be away.
func outlive(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	out, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		_ = pause(out, d) // over, or the transaction ended first
		cancel()
	})
	return out, func() { stop(); cancel() }
}

// finish decides every document of the round; partitions that have nothing to write are left out. A partition whose state
// can't be read or whose rows can't be written is broken.
func (p *Processor) finish(r *round) (all []*written, broken map[int32]error) {
	results := make(chan *written, len(r.txs))
	broken = r.each(func(id int32, tx *engine.Tx) error {
		w, err := p.plan(r.from[id], tx)
		results <- w
		return err
	})
	close(results)
	for w := range results {
		if w.out != nil && !w.out.Empty() {
			all = append(all, w)
		}
	}
	return all, broken
}

func (p *Processor) plan(o *owned, tx *engine.Tx) (w *written, err error) {
	w = &written{owned: o, tx: tx, next: max(o.next, o.read), revision: o.logic}
	if w.mark = p.passDue(o) && tx.Open() == 0; w.mark {
		tx.MarkPass(p.c.Topics.Generation.Generation)
	}
	w.out, err = tx.Finish()
	if tx.Backlog() == 0 {
		w.revision = p.c.Engine.Program.Logic()
	}
	return w, err
}

// produce sends all records and waits until they are acknowledged.
func (p *Processor) produce(ctx context.Context, all []*written) error {
	first := kgo.AbortingFirstErrPromise(p.gts.Client())
	rows, changelog := rowsTopic(p.c.Topics.Flow), changelogTopic(p.c.Topics.Flow)
	send := func(r *kgo.Record) { p.gts.Produce(ctx, r, first.Promise()) }
	var acknowledged atomic.Int64
	sideBySide(all, func(w *written) {
		for i := range w.out.Rows {
			done := first.Promise()
			p.gts.Produce(ctx, toKafka(rows, w.owned.id, &w.out.Rows[i]), func(r *kgo.Record, err error) {
				done(r, err)
				if acknowledged.Add(1) == 2 {
					p.c.At("F3")
				}
			})
		}
		if w.mark {
			mark := schemas.EncodeMark(schemas.MarkGenerationPass, p.c.Topics.Generation.Generation)
			send(toKafka(rows, w.owned.id, &mark))
		}
	})
	p.c.At("F4")
	sideBySide(all, func(w *written) {
		records := make([]kgo.Record, len(w.out.Entries))
		for i, e := range w.out.Entries {
			records[i] = kgo.Record{Topic: changelog, Partition: w.owned.id, Key: e.Key, Value: e.Value}
			send(&records[i])
		}
	})
	p.c.At("F5")
	for _, w := range all {
		progress, err := schemas.EncodeProgress(p.progress(w))
		if err != nil {
			return err
		}
		w.progress = toKafka(changelog, w.owned.id, &progress)
		send(w.progress)
	}
	if err := p.gts.Client().Flush(ctx); err != nil {
		return err // asked to stop while no broker answers: what was sent once is never given up, so nobody waits for it
	}
	return first.Err()
}

// sideBySide calls fn for every partition at the same time; the order within one is fn's own.
func sideBySide(all []*written, fn func(w *written)) {
	var group sync.WaitGroup
	for _, w := range all {
		group.Go(func() { fn(w) })
	}
	group.Wait()
}

func (p *Processor) progress(w *written) schemas.Progress {
	return schemas.Progress{Generation: p.c.Topics.Generation.Generation, Revision: w.revision,
		Input: map[string]int64{p.c.Topics.Source: w.next}, Counts: w.out.Stats.Seen, Watermark: w.out.Watermark, Reevaluated: w.revision == p.c.Engine.Program.Logic(),
		Declared: p.c.Revision}
}

func toKafka(topic string, partition int32, r *stream.Record) *kgo.Record {
	out := &kgo.Record{Topic: topic, Partition: partition, Key: r.Key, Value: r.Value}
	if len(r.Headers) > 0 {
		out.Headers = make([]kgo.RecordHeader, len(r.Headers))
	}
	for i, h := range r.Headers {
		out.Headers[i] = kgo.RecordHeader{Key: h.Key, Value: h.Value}
	}
	return out
}

// offsets states an offset for every partition of the transaction, also for those that read nothing: a transaction
// without offsets is not fenced by the group's generation. The generation in the request is that of now: where the member was lost and has joined
// anew since the partition's state was restored, the group would take what another member may have done meanwhile.
func (p *Processor) offsets(all []*written) func(*kmsg.TxnOffsetCommitRequest) error {
	return func(req *kmsg.TxnOffsetCommitRequest) error {
		current := p.assign.current()
		for _, w := range all {
			if r, ok := current[w.owned.id]; !ok || r.epoch != w.owned.epoch {
				return fmt.Errorf("partition %d left since its state was restored: %w", w.owned.id, kerr.IllegalGeneration)
			}
		}
		t := kmsg.NewTxnOffsetCommitRequestTopic()
		t.Topic = p.c.Topics.Source
		for _, w := range all {
			part := kmsg.NewTxnOffsetCommitRequestTopicPartition()
			part.Partition, part.Offset, part.LeaderEpoch = w.owned.id, w.next, -1
			meta, err := schemas.EncodeCommit(schemas.CommitMeta{TopicID: p.c.Topics.ChangelogID, Progress: w.progress.Offset,
				Generation: p.c.Topics.Generation.Generation, Revision: w.revision})
			if err != nil {
				return err
			}
			part.Metadata = &meta
			t.Partitions = append(t.Partitions, part)
		}
		req.Topics = []kmsg.TxnOffsetCommitRequestTopic{t}
		return nil
	}
}

// aborted drops the round; the session has rewound to what is committed.
//
// While the group rebalances, each transaction is aborted as soon as it ends, and a rebalance may take until a dead
// member's session ends: what is done again waits a little longer each time, or aborted records would fill the log.
func (p *Processor) aborted(ctx context.Context, r *round, failure error) error {
	p.Metrics.Aborts.Add(1)
	for _, tx := range r.txs {
		tx.Abort(p.c.Evaluator)
	}
	p.rewind()
	switch {
	case failure == nil:
		p.log.Info("a transaction was aborted, since partitions moved; it is done again", "flow", p.c.Topics.Flow)
	case retriable(failure):
		p.log.Warn("a transaction was aborted; it is done again", "flow", p.c.Topics.Flow, "error", failure)
	default:
		return fmt.Errorf("write a transaction: %w", failure)
	}
	wait := min(time.Duration(p.aborts)*50*time.Millisecond, time.Second)
	p.aborts++
	_ = pause(ctx, wait) // when ctx ends, so does the session
	return nil
}

// rewind lets every partition be read again from what is committed; the session itself does not know where a partition
// without a committed offset began.
func (p *Processor) rewind() {
	offsets := map[int32]kgo.EpochOffset{}
	for id, o := range p.parts {
		if o.failure == nil {
			o.read = o.next
			offsets[id] = kgo.EpochOffset{Epoch: -1, Offset: o.next}
		}
	}
	p.gts.Client().SetOffsets(map[string]map[int32]kgo.EpochOffset{p.c.Topics.Source: offsets})
}
