package kafka

import (
	"context"
	"slices"

	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/engine"
)

// Which names documents that are to be evaluated again.
type Which struct {
	Documents   []string
	Parked      bool // all that are parked
	Quarantined bool // all that their evaluation quarantined
}

// Retried says what came of a retry here. A document of Documents that is in none of the lists is not held here.
type Retried struct {
	Due      int      `json:"due"`       // documents that are evaluated again
	UnderWay []string `json:"under_way"` // of Documents: they are being evaluated
	Live     []string `json:"live"`      // of Documents: they are neither parked nor quarantined
	// Unread are documents whose last change could not be understood, so that their source has to write them anew.
	Unread  []string `json:"unread"`
	Unknown []string `json:"unknown"` // of Documents: this replica does not hold them
}

// retryAtOnce is how many documents one transaction makes due: only their headers are written.
const retryAtOnce = 1000

// request is what people ask of the documents of a partition. The loop alone changes it, until it is answered.
type request struct {
	op    string
	retry []string // documents still to be made due
	named bool     // they were named, not found
	out   Retried

	drop     string           // the document to give up; "": none
	rejected *stream.Position // or the record
	dropped  bool

	done chan error // one answer
}

// asking is what one transaction does of a request.
type asking struct {
	*request
	taken   int // of retry
	results []engine.Retried
	dropped bool
	err     error // it can't be done
}

// Retry makes documents due, in the next transactions of their partitions. When ctx ends first, they may be due all the same. It is
// safe for concurrent use.
func (p *Processor) Retry(ctx context.Context, w Which) (Retried, error) {
	out := Retried{}
	by, err := p.find(w, &out)
	if err != nil {
		return out, err
	}
	var all []*request
	for id, ids := range by {
		r := &request{op: "retry", retry: ids, named: !w.Parked && !w.Quarantined, done: make(chan error, 1)}
		if err := p.ask(id, r); err != nil {
			return out, err
		}
		all = append(all, r)
	}
	for _, r := range all {
		if err := r.await(ctx); err != nil {
			return out, err
		}
		out.Due += r.out.Due
		out.UnderWay = append(out.UnderWay, r.out.UnderWay...)
		out.Live = append(out.Live, r.out.Live...)
		out.Unread = append(out.Unread, r.out.Unread...)
		out.Unknown = append(out.Unknown, r.out.Unknown...)
	}
	for _, list := range []*[]string{&out.UnderWay, &out.Live, &out.Unread, &out.Unknown} {
		slices.Sort(*list)
	}
	return out, nil
}

// find sorts documents by the partition that holds them.
func (p *Processor) find(w Which, out *Retried) (map[int32][]string, error) {
	by := map[int32][]string{}
	for _, id := range w.Documents {
		partition, held, err := p.holder(id)
		switch {
		case err != nil:
			return nil, err
		case held:
			by[partition] = append(by[partition], id)
		default:
			out.Unknown = append(out.Unknown, id)
		}
	}
	if !w.Parked && !w.Quarantined {
		return by, nil
	}
	for _, partition := range p.Held() {
		s, release, ok := p.Store(partition)
		if !ok {
			continue
		}
		err := engine.Documents(s, func(h engine.Header) error {
			if w.Parked && h.Parked != nil || w.Quarantined && h.Status == engine.Quarantined {
				by[partition] = append(by[partition], h.ID)
			}
			return nil
		})
		release()
		if err != nil {
			return nil, err
		}
	}
	return by, nil
}

// Drop gives up a quarantined document, as if its source had deleted it. held is false when this replica does not hold it. It is
// safe for concurrent use.
func (p *Processor) Drop(ctx context.Context, document string) (held bool, err error) {
	partition, held, err := p.holder(document)
	if err != nil || !held {
		return held, err
	}
	r := &request{op: "drop", drop: document, done: make(chan error, 1)}
	if err := p.ask(partition, r); err != nil {
		return true, err
	}
	err = r.await(ctx)
	return r.dropped || err != nil, err
}

// DropRejected gives up a record that names no document and could not be understood.
func (p *Processor) DropRejected(ctx context.Context, at stream.Position) (held bool, err error) {
	for _, id := range p.Held() {
		s, release, ok := p.Store(id)
		if !ok {
			continue
		}
		held, err := engine.HoldsRejected(s, at)
		release()
		if err != nil {
			return false, err
		}
		if held {
			r := &request{op: "drop", rejected: &at, done: make(chan error, 1)}
			if err := p.ask(id, r); err != nil {
				return true, err
			}
			err = r.await(ctx)
			return r.dropped || err != nil, err
		}
	}
	return false, nil
}

// ask queues a request for the partition's next transaction.
func (p *Processor) ask(partition int32, r *request) error {
	p.mu.Lock()
	defer p.signal()
	defer p.mu.Unlock()
	if o := p.parts[partition]; o == nil || o.failure != nil {
		return partitionLeft(r.op)
	}
	p.requests[partition] = append(p.requests[partition], r)
	return nil
}

func partitionLeft(op string) error {
	return stream.Errorf(stream.Transient, op, "a partition was handed on or stopped meanwhile; try again")
}

func (r *request) await(ctx context.Context) error {
	select {
	case err := <-r.done:
		return err
	case <-ctx.Done():
		return &stream.Error{Op: r.op, Kind: stream.Transient, Err: ctx.Err()}
	}
}

// requestsOf are those that the partition's next transaction is to do.
func (p *Processor) requestsOf(partition int32) (all []*asking) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.requests[partition] {
		all = append(all, &asking{request: r})
	}
	return all
}

// drop gives up what is to be given up, before documents are settled.
func (a *asking) drop(tx *engine.Tx) (err error) {
	switch id := a.request.drop; {
	case a.rejected != nil:
		a.dropped, err = tx.DropRejected(*a.rejected)
	case id != "":
		known, quarantined, err := tx.Droppable(id)
		if err != nil || !known {
			return err
		}
		if !quarantined {
			a.err = &stream.Error{Op: "drop", Doc: id, Kind: stream.Usage, Err: stream.Errorf(stream.Usage, "give a document up",
				"it is not quarantined; `freshet forget` deletes any document")}
			return nil
		}
		a.dropped = true
		_, err = tx.Forget(id)
		return err
	}
	return err
}

// retry makes documents due, after they are settled.
func (a *asking) retry(tx *engine.Tx) error {
	a.taken = min(len(a.request.retry), retryAtOnce)
	for _, id := range a.request.retry[:a.taken] {
		r, err := tx.Retry(id)
		if err != nil {
			return err
		}
		a.results = append(a.results, r)
	}
	return nil
}

// committed takes over what was committed, and reports whether the request is done.
func (a *asking) committed() bool {
	r := a.request
	r.dropped = r.dropped || a.dropped
	for i, id := range r.retry[:a.taken] {
		switch a.results[i] {
		case engine.RetryDue:
			r.out.Due++
		case engine.RetryUnread:
			r.out.Unread = append(r.out.Unread, id)
		case engine.RetryUnderWay:
			r.out.UnderWay = appendIf(r.named, r.out.UnderWay, id)
		case engine.RetryLive:
			r.out.Live = appendIf(r.named, r.out.Live, id)
		case engine.RetryUnknown:
			r.out.Unknown = appendIf(r.named, r.out.Unknown, id)
		}
	}
	r.retry = r.retry[a.taken:]
	return len(r.retry) == 0
}

func appendIf(yes bool, list []string, id string) []string {
	if yes {
		return append(list, id)
	}
	return list
}

// answered answers the requests of a partition that its transaction has done.
func (p *Processor) answered(partition int32, all []*asking) {
	for _, a := range all {
		if !a.committed() {
			continue
		}
		p.mu.Lock()
		p.requests[partition] = slices.DeleteFunc(p.requests[partition], func(r *request) bool { return r == a.request })
		if len(p.requests[partition]) == 0 {
			delete(p.requests, partition)
		}
		p.mu.Unlock()
		a.request.done <- a.err
	}
}

// unanswered answers those of a partition that is given up.
func (p *Processor) unanswered(partition int32) {
	p.mu.Lock()
	all := p.requests[partition]
	delete(p.requests, partition)
	p.mu.Unlock()
	for _, r := range all {
		r.done <- partitionLeft(r.op)
	}
}
