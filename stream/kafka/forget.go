package kafka

import (
	"context"
	"slices"
	"time"

	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/engine"
)

// Forgotten is what was forgotten of a document, in one committed transaction or several.
type Forgotten struct {
	Document  string           `json:"document"`
	Partition int32            `json:"partition"`
	At        time.Time        `json:"at"`          // when it was committed
	Rows      map[string]int64 `json:"rows"`        // rows that were deleted, by table
	Input     int              `json:"input_bytes"` // of its stored input
	Memos     int              `json:"memos"`       // that no document uses any more; earlier ones of others are among them
	// Until is where the partition of the rows topic ended then: a target that has applied it holds none of the rows.
	Until int64 `json:"until"`
}

// forgetting is a document that is to be forgotten. The loop alone changes it, until it is answered.
type forgetting struct {
	out  Forgotten
	gone bool       // it is committed; what is left is memos
	done chan error // one answer
}

// Forget deletes a document from the state and from the rows topic, exactly once, as if the source had deleted it, and
// drops memos that no document uses. held is false when this replica does not hold the document. It is safe for concurrent use. When ctx
// ends first, the document may be forgotten all the same.
//
// What the source still holds comes back when it is read again: with its next change, and after a reset.
func (p *Processor) Forget(ctx context.Context, document string) (out Forgotten, held bool, err error) {
	partition, held, err := p.holder(document)
	if err != nil || !held {
		return out, held, err
	}
	f := &forgetting{out: Forgotten{Document: document, Partition: partition, Rows: map[string]int64{}}, done: make(chan error, 1)}
	p.mu.Lock()
	if o := p.parts[partition]; o == nil || o.failure != nil {
		p.mu.Unlock()
		return out, true, stoppedWhile(document)
	}
	p.forgets[partition] = append(p.forgets[partition], f)
	p.mu.Unlock()
	p.signal()
	select {
	case err = <-f.done:
	case <-ctx.Done():
		return out, true, &stream.Error{Op: "forget", Doc: document, Kind: stream.Transient, Err: ctx.Err()}
	}
	if err != nil {
		return out, true, err
	}
	ends, err := p.c.Cluster.RowsEnds(ctx, p.c.Topics)
	f.out.Until = ends[partition]
	return f.out, true, err
}

func stoppedWhile(document string) error {
	return &stream.Error{Op: "forget", Doc: document, Kind: stream.Transient,
		Err: stream.Errorf(stream.Transient, "process its partition", "it was handed on or stopped; try again")}
}

// holder finds the partition whose state has the document.
func (p *Processor) holder(document string) (partition int32, held bool, err error) {
	for _, id := range p.Held() {
		s, release, ok := p.Store(id)
		if !ok {
			continue
		}
		_, held, err = engine.FindDocument(s, document)
		release()
		if err != nil || held {
			return id, held, err
		}
	}
	return 0, false, nil
}

// forgetsOf are those that the partition's next transaction is to forget.
func (p *Processor) forgetsOf(partition int32) []*forgetting {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.forgets[partition])
}

// forget folds what a partition's transaction is to forget.
func (r *round) forget(partition int32, tx *engine.Tx, all []*forgetting) error {
	if len(all) == 0 {
		return nil
	}
	r.mu.Lock()
	r.forgets[partition] = all
	r.mu.Unlock()
	tx.Purge()
	for _, f := range all {
		if f.gone {
			continue
		}
		folded, err := tx.Forget(f.out.Document)
		if err != nil {
			return err
		}
		f.out.Rows, f.out.Input = folded.Rows, folded.InputBytes
	}
	return nil
}

// answer is called when a round is committed and applied, or had nothing to write.
func (p *Processor) answer(r *round) {
	for id, all := range r.forgets {
		p.forgotten(id, r.txs[id], all)
	}
	for id, all := range r.requests {
		p.answered(id, all)
	}
}

// forgotten answers those whose transaction has committed, once no memo is left to be dropped.
func (p *Processor) forgotten(partition int32, tx *engine.Tx, all []*forgetting) {
	memos, more := tx.Purged()
	p.c.Evaluator.Drop(memos)
	for _, f := range all {
		f.out.Memos += len(memos)
		if !f.gone {
			f.gone, f.out.At = true, time.Unix(0, p.c.Engine.Now()).UTC()
		}
	}
	if more {
		return // a later transaction goes on
	}
	p.mu.Lock()
	p.forgets[partition] = slices.DeleteFunc(p.forgets[partition], func(f *forgetting) bool { return slices.Contains(all, f) })
	if len(p.forgets[partition]) == 0 {
		delete(p.forgets, partition)
	}
	p.mu.Unlock()
	for _, f := range all {
		f.done <- nil
	}
}

// unforgotten answers those of a partition that is given up.
func (p *Processor) unforgotten(partition int32) {
	p.mu.Lock()
	all := p.forgets[partition]
	delete(p.forgets, partition)
	p.mu.Unlock()
	for _, f := range all {
		f.done <- stoppedWhile(f.out.Document)
	}
}
