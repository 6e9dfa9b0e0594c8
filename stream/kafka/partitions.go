package kafka

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/engine"
)

// opening is a partition whose state is being restored.
type opening struct {
	id       int32
	epoch    int
	progress progressing
	done     chan struct{}
	owned    *owned
	err      error
}

// reconcile closes what is no longer owned, starts to restore what is new, and takes over what is restored.
func (p *Processor) reconcile(ctx context.Context) error {
	current := p.assign.current()
	for id, o := range p.parts {
		if r, ok := current[id]; !ok || r.epoch != o.epoch {
			p.close(id)
		}
	}
	var kept []*opening // a list of its own: Status reads the other one meanwhile
	busy := map[int32]bool{}
	for _, o := range p.opened {
		select {
		case <-o.done:
			if err := p.takeOver(o, current[o.id]); err != nil {
				return err
			}
		default:
			kept = append(kept, o)
			busy[o.id] = true
		}
	}
	p.mu.Lock()
	p.opened = kept
	p.mu.Unlock()
	for id, r := range current {
		if p.parts[id] == nil && !busy[id] {
			p.open(ctx, id, r)
		}
	}
	p.c.Evaluator.Share(len(current), int(p.c.Topics.Partitions))
	p.keepStandbys(ctx)
	p.publish()
	return nil
}

func (p *Processor) open(ctx context.Context, id int32, r ready) {
	o := &opening{id: id, epoch: r.epoch, done: make(chan struct{})}
	p.mu.Lock()
	p.opened = append(p.opened, o)
	follower := p.standbys[id]
	p.mu.Unlock()
	if follower != nil {
		follower.cancel()
	}
	go func() {
		defer p.signal()
		defer close(o.done)
		if follower != nil {
			<-follower.done // the store is open there
		}
		if o.owned, o.err = p.restore(ctx, o, r); stream.KindOf(o.err) == stream.Transient {
			_ = pause(ctx, time.Second) // it is tried again when this ends
		}
	}()
}

// takeOver begins work on a restored partition, unless it was handed on meanwhile.
func (p *Processor) takeOver(o *opening, r ready) error {
	if o.err != nil {
		if stream.KindOf(o.err) == stream.Usage || stream.KindOf(o.err) == stream.Internal {
			return o.err
		}
		p.log.Warn("restoring a partition failed; it is tried again", "partition", o.id, "error", o.err)
		return nil
	}
	if r.epoch != o.epoch {
		return o.owned.store.Close()
	}
	own := o.owned
	own.epoch = o.epoch
	own.release = p.c.Evaluator.Hold(own.id, own.store)
	p.mu.Lock()
	p.parts[own.id] = own
	p.mu.Unlock()
	cl := p.gts.Client()
	cl.SetOffsets(map[string]map[int32]kgo.EpochOffset{p.c.Topics.Source: {own.id: {Epoch: -1, Offset: own.next}}})
	cl.ResumeFetchPartitions(map[string][]int32{p.c.Topics.Source: {own.id}})
	return nil
}

func (p *Processor) close(id int32) {
	o := p.parts[id]
	_ = p.wait(id) // settle tells of an error
	p.mu.Lock()
	delete(p.parts, id)
	p.disk[id] = o.applied
	p.mu.Unlock()
	p.unforgotten(id)
	p.unanswered(id)
	o.part.Close()
	o.release()
	if err := o.store.Close(); err != nil {
		p.log.Warn("closing a partition's state failed", "partition", id, "error", err)
	}
}

// closeAll ends the session's partitions; cancel stops the restores under way.
func (p *Processor) closeAll(cancel context.CancelFunc) {
	cancel()
	if err := p.settle(); err != nil {
		p.log.Warn("a partition's state is behind; it will be restored", "flow", p.c.Topics.Flow, "error", err)
	}
	for _, o := range p.opened {
		<-o.done
		if o.err == nil {
			_ = o.owned.store.Close() // nothing was written
		}
	}
	for _, s := range p.standbys {
		s.cancel()
		<-s.done
	}
	p.mu.Lock()
	p.opened = nil
	for id, s := range p.standbys {
		p.disk[id] = s.applied.Load()
	}
	clear(p.standbys)
	p.mu.Unlock()
	for id := range p.parts {
		p.close(id)
	}
}

// PartitionStatus is what a replica says of one partition.
type PartitionStatus struct {
	Partition int32        `json:"partition"`
	State     string       `json:"state"` // restoring, ready, re-evaluating, stopped
	Next      int64        `json:"next"`  // source offset to be processed next
	Error     string       `json:"error,omitempty"`
	Stats     engine.Stats `json:"stats"`
	Backlog   int          `json:"backlog,omitempty"` // documents that wait for re-evaluation
	Busy      bool         `json:"busy,omitempty"`    // evaluations run, wait or rest
	Parked    int          `json:"parked,omitempty"`  // pending documents whose evaluations rest
	// Restore is nil unless the partition's changelog is being read.
	Restore *RestoreProgress `json:"restore,omitempty"`
}
