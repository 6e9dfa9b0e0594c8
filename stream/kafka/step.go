package kafka

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/engine"
)

// How many documents of a backlog one transaction takes from each partition: when it has nothing else to do, and beside
// live changes, whose rows wait for its end.
const (
	reevaluateAtOnce = 256
	reevaluateBeside = 64
	// reevaluateUnderWay is how many may be evaluated beyond the transaction that took them, over all partitions: enough for the
	// evaluator, and few enough to be taken in small portions.
	reevaluateUnderWay = 512
)

// backfill returns how many documents of its backlog each partition may take into a round of so many live records.
func (p *Processor) backfill(records int) map[int32]int {
	if p.applying != nil || !p.hasRoom() {
		return nil // it runs ahead only while there is no backlog
	}
	each := reevaluateAtOnce
	if records > 0 {
		each = reevaluateBeside
	}
	left := map[int32]int{}
	for id, o := range p.parts {
		if n := o.part.Backlog(); n > 0 && o.failure == nil {
			left[id] = min(n, each)
		}
	}
	if behind := p.c.Evaluator.Behind(); behind > 0 {
		for id, n := range left {
			left[id] = min(n, max(0, reevaluateUnderWay-behind)/len(left))
		}
		maps.DeleteFunc(left, func(_ int32, n int) bool { return n == 0 })
	}
	return p.pacer.grant(p.now(), p.share(), left)
}

// round is the work of one transaction, by partition.
type round struct {
	mu       sync.Mutex // guards txs, forgets and requests while partitions are folded
	txs      map[int32]*engine.Tx
	forgets  map[int32][]*forgetting
	requests map[int32][]*asking
	from     map[int32]*owned
}

// step folds records, evaluates within the budget, and commits. Evaluations that are not finished by then go on in the
// background: their documents are committed as pending.
func (p *Processor) step(ctx context.Context, records []*stream.Record) error {
	r := &round{txs: map[int32]*engine.Tx{}, forgets: map[int32][]*forgetting{}, requests: map[int32][]*asking{}, from: map[int32]*owned{}}
	for id, o := range p.parts {
		if o.failure == nil {
			r.from[id] = o
		}
	}
	broken := p.fold(ctx, r, records)
	ahead := p.applying != nil
	if err := p.settle(); err != nil {
		return err // what was folded is not begun
	}
	if ahead {
		p.publish() // under load each round runs ahead, so that there is no other moment for it
	}
	p.pace(r, len(records))
	p.await(ctx, r, len(records) > 0)
	for id, tx := range r.txs {
		if err := tx.Failure(); err != nil && broken[id] == nil {
			broken[id] = err
		}
	}
	defer p.publish()
	if err := p.c.Evaluator.Hopeless(); err != nil {
		return err
	}
	if len(broken) > 0 {
		return p.breakOff(ctx, r, broken)
	}
	if err := p.commit(ctx, r); err != nil {
		return err // what was read is not done: the next session reads it again
	}
	for _, o := range r.from {
		o.done = o.read
	}
	return nil
}

// evaluateAtOnce is how many changed documents a transaction aims at: they, not the no-ops, take memory.
const evaluateAtOnce = 3000

// pace sets how many records the next poll takes, by what those of this round turned out to be.
func (p *Processor) pace(r *round, records int) {
	changed := 1
	for _, tx := range r.txs {
		changed += tx.Evaluations()
	}
	if records > 0 {
		p.take = min(p.c.MaxPoll, max(evaluateAtOnce/4, records*evaluateAtOnce/changed))
	}
}

func (r *round) tx(id int32) *engine.Tx {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.txs[id]
	if t == nil {
		t = r.from[id].part.Begin()
		r.txs[id] = t
	}
	return t
}

// fold gives each partition its records, in order, partitions side by side.
func (p *Processor) fold(ctx context.Context, r *round, records []*stream.Record) map[int32]error {
	byPartition := map[int32][]*stream.Record{}
	for _, rec := range records {
		if r.from[rec.Partition] != nil {
			byPartition[rec.Partition] = append(byPartition[rec.Partition], rec)
		}
	}
	backfill := p.backfill(len(records))
	return sideways(r.from, func(id int32, o *owned) error {
		if err := p.wait(id); err != nil {
			return err
		}
		if err := o.part.Resume(ctx, p.c.Evaluator, p.c.PendingBytes/(len(r.from)+1)); err != nil {
			return err
		}
		forgets, requests := p.forgetsOf(id), p.requestsOf(id)
		collect, err := p.sweep(o, len(records))
		if err != nil {
			return err
		}
		if len(byPartition[id])+len(forgets)+len(requests)+backfill[id] == 0 && !p.passDue(o) && !collect {
			return nil
		}
		tx := r.tx(id)
		if collect {
			tx.Collect()
		}
		for _, rec := range byPartition[id] {
			if err := tx.Fold(rec); err != nil {
				return err
			}
		}
		if err := r.forget(id, tx, forgets); err != nil {
			return err
		}
		for _, a := range requests {
			if err := a.drop(tx); err != nil {
				return err
			}
		}
		if err := tx.Reevaluate(ctx, p.c.Evaluator, backfill[id]); err != nil {
			return err
		}
		if err := tx.Settle(ctx, p.c.Evaluator); err != nil {
			return err
		}
		return r.ask(id, tx, requests)
	})
}

// ask makes documents due that people asked for, and notes what is to be answered.
func (r *round) ask(partition int32, tx *engine.Tx, requests []*asking) error {
	if len(requests) == 0 {
		return nil
	}
	r.mu.Lock()
	r.requests[partition] = requests
	r.mu.Unlock()
	for _, a := range requests {
		if err := a.retry(tx); err != nil {
			return err
		}
	}
	return nil
}

// each runs fn for every partition of the round at the same time and returns the failures.
func (r *round) each(fn func(id int32, tx *engine.Tx) error) map[int32]error {
	return sideways(r.txs, fn)
}

func sideways[T any](parts map[int32]T, fn func(id int32, part T) error) map[int32]error {
	var mu sync.Mutex
	var group sync.WaitGroup
	failed := map[int32]error{}
	for id, part := range parts {
		group.Go(func() {
			if err := fn(id, part); err != nil {
				mu.Lock()
				failed[id] = err
				mu.Unlock()
			}
		})
	}
	group.Wait()
	return failed
}

// await takes finished evaluations until those of the round are all there or the budget is spent. Live changes do not wait for the
// backlog's documents, which become pending: neither those of the round, nor those that are read meanwhile.
func (p *Processor) await(ctx context.Context, r *round, live bool) {
	budget := time.NewTimer(p.c.Budget)
	defer budget.Stop()
	peek := time.NewTicker(peekEvery)
	defer peek.Stop()
	for {
		for _, ev := range p.c.Evaluator.Finished() {
			if r.from[ev.Partition] != nil {
				r.take(ev)
			}
		}
		open := 0
		for _, tx := range r.txs {
			if live {
				open += tx.Urgent()
			} else {
				open += tx.Open()
			}
		}
		if open == 0 || !live && p.gts.Client().BufferedFetchRecords() > 0 {
			return
		}
		select {
		case <-p.c.Evaluator.Wake():
		case <-peek.C:
		case <-budget.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// peekEvery is how often a round without live changes looks for some.
const peekEvery = 5 * time.Millisecond

// take adds an evaluation's document to the round, beginning the partition's transaction only if it is of use.
func (r *round) take(ev *engine.Evaluation) {
	_, begun := r.txs[ev.Partition]
	if !r.tx(ev.Partition).Take(ev) && !begun {
		delete(r.txs, ev.Partition)
	}
}

// breakOff stops the partitions that failed and rewinds the others: an aborted transaction, so nothing was done.
func (p *Processor) breakOff(ctx context.Context, r *round, broken map[int32]error) error {
	for id, err := range broken {
		if stream.KindOf(err) == stream.Usage {
			return err
		}
		p.stop(id, err)
	}
	for _, tx := range r.txs {
		tx.Abort(p.c.Evaluator)
	}
	defer p.Pulse.wait()()
	p.begun = time.Now()
	if err := p.gts.Begin(); err != nil {
		return fmt.Errorf("begin a transaction: %w", err)
	}
	p.Metrics.Aborts.Add(1)
	ctx, cancel := outlive(ctx, p.c.Cluster.patience())
	defer cancel()
	_, err := p.gts.End(ctx, kgo.TryAbort)
	p.rewind()
	return err
}
