package topic

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// tenure is this sink's hold on a partition: a client that has the partition's transactional ID, and the place as its last
// transaction left it. It ends with the first step that fails: then only Assign finds out what holds.
type tenure struct {
	sink      *Sink
	partition int32
	cl        *kgo.Client
	place     place
	over      bool // under Sink.mu
}

func (t *tenure) close() { t.cl.Close() }

// step writes records, and last the place that they lead to, in one transaction, and returns when readers see them.
//
// Invariant 1: the place is in the transaction of the rows. Invariant 4: it is written by every step, so that a stale writer
// meets its fence. After an error the tenure is over: the transaction was aborted, or its outcome is not known.
func (t *tenure) step(ctx context.Context, to place, records iter.Seq2[*kgo.Record, error]) error {
	last, err := to.record(t.sink.names.places, t.partition)
	if err != nil {
		return err
	}
	w := &transaction{cl: t.cl, patience: t.sink.patience}
	err = w.run(ctx, func(send func(*kgo.Record) error) error {
		if records != nil {
			for r, err := range records {
				if err == nil {
					err = send(r)
				}
				if err != nil {
					return err
				}
			}
		}
		return send(last)
	})
	if err != nil {
		t.sink.mu.Lock()
		t.over = true
		t.sink.mu.Unlock()
		t.close()
		return err
	}
	t.place = to
	return nil
}

// transaction is one transaction of a client.
type transaction struct {
	cl       *kgo.Client
	patience time.Duration // with the answer to a commit

	mu   sync.Mutex
	ends map[string]map[int32]int64 // by topic and partition: after the last record
	err  error                      // the first refusal
}

// run writes what produce sends and commits it. An error means that it was aborted, or else says that nobody knows.
func (w *transaction) run(ctx context.Context, produce func(send func(*kgo.Record) error) error) error {
	ctx, cancel := context.WithTimeout(ctx, transactionTimeout)
	defer cancel()
	id, epoch, err := w.cl.ProducerID(ctx)
	if err != nil {
		return fmt.Errorf("begin a transaction: %w", err)
	}
	if err := w.cl.BeginTransaction(); err != nil {
		return fmt.Errorf("begin a transaction: %w", err)
	}
	w.ends = map[string]map[int32]int64{}
	err = produce(func(r *kgo.Record) error {
		w.cl.Produce(ctx, r, w.acknowledged)
		return w.refusal()
	})
	if flushed := w.cl.Flush(ctx); flushed != nil {
		err = errors.Join(err, flushed)
	}
	if refused := w.refusal(); refused != nil {
		err = refused // the first cause
	}
	if err == nil {
		err = w.unmoved(ctx, id, epoch)
	}
	if err != nil {
		w.abort(ctx)
		return fmt.Errorf("write a transaction (it was given up): %w", err)
	}
	return w.commit(ctx)
}

// acknowledged notes how far a partition is, or why a record was refused.
func (w *transaction) acknowledged(r *kgo.Record, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		if w.err == nil {
			w.err = fmt.Errorf("topic %s, partition %d: %w", r.Topic, r.Partition, err)
		}
		return
	}
	if w.ends[r.Topic] == nil {
		w.ends[r.Topic] = map[int32]int64{}
	}
	w.ends[r.Topic][r.Partition] = max(w.ends[r.Topic][r.Partition], r.Offset+1)
}

func (w *transaction) refusal() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// errMoved is that the client began anew under another epoch while it wrote: what it wrote before was aborted.
var errMoved = errors.New("the client had to take its transactional ID again meanwhile")

func (w *transaction) unmoved(ctx context.Context, id int64, epoch int16) error {
	nowID, nowEpoch, err := w.cl.ProducerID(ctx)
	if err == nil && (nowID != id || nowEpoch != epoch) {
		err = errMoved
	}
	return err
}

// abort lets readers go on at once, if it can: else the transaction is aborted by whoever takes the partition, or by time.
func (w *transaction) abort(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if w.cl.AbortBufferedRecords(ctx) == nil {
		_ = w.cl.EndTransaction(ctx, kgo.TryAbort)
	}
}

// commit asks for the commit, once: after an error its outcome is not known.
func (w *transaction) commit(ctx context.Context) error {
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), w.patience)
	defer cancel()
	if err := w.cl.EndTransaction(ending, kgo.TryCommit); err != nil {
		return fmt.Errorf("commit a transaction (its outcome is not known; taking the partition again tells): %w", err)
	}
	w.shown(ending)
	return nil
}

// shown waits until readers of committed records see the transaction: brokers answer a commit before they show it. If that
// can't be learned, it is committed all the same.
func (w *transaction) shown(ctx context.Context) {
	left := map[string][]int32{}
	for topic, partitions := range w.ends {
		for p := range partitions {
			left[topic] = append(left[topic], p)
		}
	}
	for wait := time.Millisecond; len(left) > 0; wait = min(2*wait, 100*time.Millisecond) {
		stable, err := offsets(ctx, w.cl, left, endOffset)
		if err == nil {
			left = map[string][]int32{}
			for topic, partitions := range stable {
				for p, end := range partitions {
					if end < w.ends[topic][p] {
						left[topic] = append(left[topic], p)
					}
				}
			}
		}
		if len(left) > 0 && pause(ctx, wait) != nil {
			return
		}
	}
}
