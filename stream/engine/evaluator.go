package engine

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/freshet-dev/freshet/stream"
)

// Evaluation is one document's evaluation, under way or finished. Its result fields are set before it is queued.
type Evaluation struct {
	Partition int32
	id        string
	doc       stream.Fingerprint
	input     stream.Value
	inputFP   stream.Fingerprint
	readSet   stream.Fingerprint
	bytes     int
	own       Store // of the document's partition
	changes   int64 // changes that it carries, to be counted when it ends
	later     bool  // of a document of the backlog: live ones go before
	cancel    context.CancelFunc

	done  bool // set by the loop, when it takes the evaluation from the queue
	rows  []stream.Row
	memos map[stream.Fingerprint]used
	err   error
}

// Evaluator runs evaluations concurrently and queues the finished ones. It never touches partitions: it reads their
// stores, and the loop takes what is finished with Finished.
type Evaluator struct {
	program  stream.Program
	formulas bool // the program calls no operator
	memos    *memos
	totals   *Totals
	slots    chan struct{}
	later    chan struct{} // slots of the backlog's documents
	behind   atomic.Int64  // evaluations of theirs that were started and not taken
	group    sync.WaitGroup

	mu       sync.Mutex
	trial    trial
	finished []*Evaluation
	wake     chan struct{} // one token while finished is not empty
	urgent   chan struct{} // one token when it has had others than the backlog's since the last
}

// NewEvaluator returns an evaluator for the program. Batches that were sent to an operator run under ctx, so that an
// abort of the transaction that asked does not lose paid results. Node counts go to totals.
func NewEvaluator(ctx context.Context, p stream.Program, totals *Totals, events Events) *Evaluator {
	f, ok := p.(interface{ Immediate() bool })
	atOnce := 16 * runtime.GOMAXPROCS(0)
	return &Evaluator{program: p, formulas: ok && f.Immediate(), memos: newMemos(ctx, events), totals: totals, slots: make(chan struct{}, atOnce),
		later: make(chan struct{}, atOnce), wake: make(chan struct{}, 1), urgent: make(chan struct{}, 1)}
}

// Hold makes a partition's store available for memo look-ups of all partitions; release it before the store closes.
func (e *Evaluator) Hold(partition int32, s Store) (release func()) {
	return e.memos.hold(partition, s)
}

// immediate runs an evaluation at once when it can't wait for anything, and reports whether it did. A goroutine and the
// queue would cost more than the formulas of most documents.
func (e *Evaluator) immediate(ctx context.Context, ev *Evaluation) bool {
	if !e.formulas {
		return false
	}
	ev.cancel = func() {}
	e.evaluate(ctx, ev, nil)
	e.judge(ev)
	ev.done = !errors.Is(ev.err, context.Canceled) // as Take does
	return true
}

// start begins an evaluation; it ends in the queue, whatever happens.
func (e *Evaluator) start(ctx context.Context, ev *Evaluation) {
	ctx, ev.cancel = context.WithCancel(ctx)
	slots := e.slots
	if ev.later {
		slots = e.later
		e.behind.Add(1)
	}
	e.group.Add(1)
	go func() {
		defer e.group.Done()
		defer ev.cancel() // the parent context outlives it
		select {
		case slots <- struct{}{}:
			e.evaluate(ctx, ev, slots)
			<-slots
		case <-ctx.Done():
			ev.err = ctx.Err()
		}
		e.queue(ev)
	}()
}

func (e *Evaluator) evaluate(ctx context.Context, ev *Evaluation, slots chan struct{}) {
	c := &calls{memos: e.memos, own: ev.own, partition: ev.Partition, later: ev.later, slots: slots}
	doc := stream.Document{ID: ev.id, Source: sourceOf(ev.id), Input: ev.input}
	ev.rows, ev.err = e.program.Evaluate(ctx, doc, c)
	ev.memos = c.used
	if c.nodes != nil {
		e.totals.Add(Counts{Nodes: c.nodes}) // what was computed was computed, also when the evaluation is dropped
	}
}

// trial watches the first evaluations: a formula that fails on all of them is wrong, not the documents.
type trial struct {
	passed bool
	failed map[string]bool // documents; one may be evaluated again and again, when transactions are aborted
	op     string
	err    error
}

const trialDocuments = 100

func (t *trial) judge(doc string, err error) {
	if t.passed || len(t.failed) >= trialDocuments || errors.Is(err, context.Canceled) || parks(err) {
		return
	}
	var e *stream.Error
	switch {
	case err == nil, !errors.As(err, &e), e.Kind != stream.Invalid, len(t.failed) > 0 && e.Op != t.op:
		t.passed, t.failed = true, nil
	default:
		if t.failed == nil {
			t.failed = make(map[string]bool, trialDocuments)
		}
		t.failed[doc], t.op, t.err = true, e.Op, err
	}
}

// Hopeless returns an error when every one of the first documents failed in the same way: the flow stops then, rather
// than quarantine a corpus.
func (e *Evaluator) Hopeless() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.trial.failed) < trialDocuments {
		return nil
	}
	return stream.Errorf(stream.Usage, "evaluate flow "+e.program.Flow(), "each of the first %d documents failed alike, the last with: %w; "+
		"correct the flow", trialDocuments, e.trial.err)
}

func (e *Evaluator) judge(ev *Evaluation) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.trial.judge(ev.id, ev.err)
}

func (e *Evaluator) queue(ev *Evaluation) {
	e.judge(ev)
	e.mu.Lock()
	e.finished = append(e.finished, ev)
	e.mu.Unlock()
	give(e.wake)
	if !ev.later {
		give(e.urgent)
	}
}

// requeue queues an evaluation that was taken.
func (e *Evaluator) requeue(ev *Evaluation) {
	if ev.later {
		e.behind.Add(1)
	}
	e.queue(ev)
}

// give leaves a token unless one lies there.
func give(tokens chan<- struct{}) {
	select {
	case tokens <- struct{}{}:
	default:
	}
}

// Wake delivers a token when evaluations have finished since the last Finished.
func (e *Evaluator) Wake() <-chan struct{} { return e.wake }

// Urgent is Wake for evaluations of other documents than the backlog's, which may be gathered a while.
func (e *Evaluator) Urgent() <-chan struct{} { return e.urgent }

// Behind returns how many evaluations of the backlog's documents run or wait in the queue.
func (e *Evaluator) Behind() int { return int(e.behind.Load()) }

// Finished takes the finished evaluations.
func (e *Evaluator) Finished() []*Evaluation {
	e.mu.Lock()
	defer e.mu.Unlock()
	out := e.finished
	e.finished = nil
	for _, ev := range out {
		if ev.later {
			e.behind.Add(-1)
		}
	}
	return out
}

// Wait returns when every evaluation and every call to an operator has ended; cancel them first.
func (e *Evaluator) Wait() {
	e.group.Wait()
	e.memos.wait()
}

func sourceOf(id string) string {
	for i := range len(id) {
		if id[i] == '/' {
			return id[:i]
		}
	}
	return id
}
