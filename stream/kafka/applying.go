package kafka

import (
	"errors"

	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/engine"
)

// applying is a committed transaction on its way into the stores. The next records are read meanwhile, and folded in each
// partition as soon as its own store is written: syncing several stores takes as long as folding for them.
//
// Invariant 2: only what committed is applied, and a partition is not looked at before its last piece is in (wait). There
// is one at most: the next transaction begins after it (settle).
type applying struct {
	by map[int32]*write
}

// write is one partition's part; done closes when it ended.
type write struct {
	done chan struct{}
	err  error
}

// apply puts the committed entries into the stores. A store that can't be written is behind from now on: the session
// ends, and the next one restores it.
func (p *Processor) apply(all []*written) error {
	behind := p.mayRunAhead(all)
	p.applying = &applying{by: map[int32]*write{}}
	for _, w := range all {
		p.mu.Lock()
		w.owned.next, w.owned.logic = w.next, w.revision
		p.mu.Unlock()
		part := &write{done: make(chan struct{})}
		p.applying.by[w.owned.id] = part
		go func() {
			defer close(part.done)
			if part.err = p.applyOne(w); part.err == nil {
				w.tx.Commit()
				p.c.Evaluator.Drop(w.tx.Collected())
				p.c.Totals.Add(w.out.Counts)
				p.mu.Lock()
				w.owned.applied = w.progress.Offset
				p.mu.Unlock()
			}
		}()
	}
	if behind {
		return nil
	}
	return p.settle()
}

// mayRunAhead reports whether the next round can begin before this one is applied: records for it are there, and nothing
// but them is to be done, so that nobody has to look at a partition to know what.
func (p *Processor) mayRunAhead(all []*written) bool {
	if p.gts.Client().BufferedFetchRecords() == 0 {
		return false
	}
	for _, o := range p.parts {
		if o.failure != nil || o.part.Working() || p.passAwaited(o) {
			return false
		}
	}
	for _, w := range all {
		if w.mark || w.tx.Open() > 0 {
			return false
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.forgets)+len(p.requests) == 0
}

// wait returns when what was committed for a partition is in its store and the partition knows it.
func (p *Processor) wait(id int32) error {
	if p.applying == nil || p.applying.by[id] == nil {
		return nil
	}
	part := p.applying.by[id]
	<-part.done
	return part.err
}

// settle returns when all that was committed is applied.
func (p *Processor) settle() error {
	if p.applying == nil {
		return nil
	}
	var err error
	for id := range p.applying.by {
		err = errors.Join(err, p.wait(id))
	}
	p.applying = nil
	if err != nil {
		return &stream.Error{Op: "apply a committed transaction to the local state (it will be restored)", Kind: stream.Transient, Err: err}
	}
	return nil
}

func (p *Processor) applyOne(w *written) error {
	return w.owned.store.Apply(w.out.Entries, stream.Checkpoint{
		TopicID: p.c.Topics.ChangelogID, Applied: w.progress.Offset, Format: engine.FormatVersion, Input: w.next,
		Generation: p.c.Topics.Generation.Generation, Revision: w.revision, Clock: p.c.Engine.Now(), Declared: p.c.Revision})
}
