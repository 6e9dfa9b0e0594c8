package kafka_test

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet-dev/freshet/schemas"
	"github.com/freshet-dev/freshet/stream"
)

// points are all named points of a transaction.
var points = []string{"F1", "F2", "F3", "F4", "F5", "F6", "F7", "F8", "F9", "F10", "F11"}

// onWire are the points at which a request has left: the broker acts on it before the test does anything.
var onWire = map[string]kmsg.Key{"F7": kmsg.TxnOffsetCommit, "F10": kmsg.EndTxn}

// load writes a burst of changes that depends on round: creations, changes, no-ops, deletes and re-creations.
func (s *scene) load(round int) {
	s.Helper()
	for i, path := range paths(12) {
		switch (i + round) % 4 {
		case 0:
			s.remove(path)
		case 1:
			s.write(path, fmt.Sprintf("line\nof %d\nin round %d", i, round))
		case 2:
			s.write(path, fmt.Sprintf("line\nof %d", i))
		}
	}
}

// at returns an option that calls fn when the processor reaches point for the n-th time, on the processor's goroutine.
func (s *scene) at(point string, n int64, fn func()) func(*setup) {
	var passed atomic.Int64
	key, wire := onWire[point]
	seen := s.broker.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{key}, Observe: true, Count: -1})
	return func(c *setup) {
		c.processor.At = func(p string) {
			if p != point || passed.Add(1) != n {
				return
			}
			switch { // the answer is not read before this returns
			case wire && s.virtual:
				synctest.Wait()
			case wire:
				_ = seen.Wait(s.Context(), int(n)) // the test is over
			}
			fn()
		}
	}
}

// TestCutAtEveryPoint cuts a process off at every point of a transaction, for a moment or for longer than the broker
// waits for it (session and transaction both time out after 10 s). It goes on by itself, and nothing is lost or done twice.
func TestCutAtEveryPoint(t *testing.T) {
	t.Parallel()
	for _, point := range points {
		for _, away := range []time.Duration{time.Second, 15 * time.Second} {
			t.Run(fmt.Sprint(point, " ", away), func(t *testing.T) {
				run := play
				if away > time.Second {
					run = playReal
				}
				run(t, func(s *scene) {
					var p *process
					cut := make(chan struct{})
					p = s.start(s.at(point, 2, func() {
						p.link.sever()
						close(cut)
					}))
					for round := range 3 {
						s.load(round)
						s.wait(100 * time.Millisecond)
					}
					select {
					case <-cut:
					case <-time.After(soon):
						t.Fatal("never cut")
					}
					s.wait(away)
					p.link.restore()
					s.load(3)
					s.settle(p)
					s.expect()
					s.consistent(p)
				})
			})
		}
	}
}

// TestKilledAtEveryPoint takes a process away at every point of a transaction. Another goes on from what its disk held
// at that moment; then the first comes back, as a process that was stopped and continued does, and changes nothing.
func TestKilledAtEveryPoint(t *testing.T) {
	t.Parallel()
	for _, point := range points {
		t.Run(point, func(t *testing.T) {
			playReal(t, func(s *scene) {
				var first *process
				var disk *memoryStores
				killed := make(chan struct{})
				first = s.start(s.at(point, 2, func() {
					first.link.sever()
					disk = s.stores.clone()
					close(killed)
				}))
				for round := range 3 {
					s.load(round)
					s.wait(100 * time.Millisecond)
				}
				select {
				case <-killed:
				case <-time.After(soon):
					t.Fatal("never killed")
				}
				second := s.start(func(c *setup) {
					c.processor.TransactionalID = "lines.1" // of the same replica
					c.processor.Stores = disk
				})
				s.load(3)
				s.settle(second)
				s.expect()
				first.link.restore()
				s.load(4)
				s.settle(first, second)
				s.expect()
				s.consistent(first, second)
			})
		})
	}
}

// consistent checks that the rows topic alone gives what the target holds, that every partition counts each change once,
// and that no restore found a divergence.
func (s *scene) consistent(all ...*process) {
	s.Helper()
	rows := map[string]bool{}
	for _, r := range s.records("lines.rows", kgo.ReadCommitted()) {
		key := fmt.Sprint(r.Partition, string(r.Key))
		switch {
		case r.Value == nil && !rows[key]:
			s.Errorf("a row is deleted that is not there: %q", r.Key)
		case r.Value == nil:
			delete(rows, key)
		default:
			rows[key] = true
		}
	}
	want := 0
	for _, content := range s.files {
		want += len(slices.Collect(linesOf(content)))
	}
	if len(rows) != want {
		s.Errorf("the rows topic holds %d rows, want %d", len(rows), want)
	}
	// While a partition moves, no process counts it, or two do.
	s.until(fmt.Sprintf("the state counts %d rows of %d documents", want, len(s.files)), func() bool {
		n := sum(all...)
		return int(n.Rows["lines"]) == want && int(n.Documents) == len(s.files)
	})
	for _, p := range all {
		if n := p.proc.Metrics.Divergences.Load(); n > 0 {
			s.Errorf("%d divergences", n)
		}
	}
}

// TestRefusedByTheBroker lets the broker refuse one request of a transaction.
func TestRefusedByTheBroker(t *testing.T) {
	for name, f := range map[string]kfake.Fault{
		"rows: leader moved":           {Keys: []kmsg.Key{kmsg.Produce}, Topic: "lines.rows", Err: kerr.NotLeaderForPartition},
		"rows: too large":              {Keys: []kmsg.Key{kmsg.Produce}, Topic: "lines.rows", Err: kerr.MessageTooLarge},
		"changelog: too few replicas":  {Keys: []kmsg.Key{kmsg.Produce}, Topic: "lines.changelog", Err: kerr.NotEnoughReplicas, Count: 3},
		"changelog: invalid record":    {Keys: []kmsg.Key{kmsg.Produce}, Topic: "lines.changelog", Err: kerr.InvalidRecord},
		"changelog: unknown":           {Keys: []kmsg.Key{kmsg.Produce}, Topic: "lines.changelog", Err: kerr.UnknownServerError},
		"offsets: rebalance":           {Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, Err: kerr.RebalanceInProgress},
		"offsets: illegal generation":  {Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, Err: kerr.IllegalGeneration},
		"offsets: concurrent (F26)":    {Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, Err: kerr.ConcurrentTransactions, Count: 2},
		"offsets: answer lost (F7)":    {Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, Err: kerr.RequestTimedOut},
		"offsets: coordinator (F19)":   {Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, Err: kerr.NotCoordinator, Count: 2},
		"offsets: fenced":              {Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, Err: kerr.ProducerFenced},
		"end: coordinator moved (F19)": {Keys: []kmsg.Key{kmsg.EndTxn}, Err: kerr.NotCoordinator, Count: 2, TopLevel: true},
		"end: loading":                 {Keys: []kmsg.Key{kmsg.EndTxn}, Err: kerr.CoordinatorLoadInProgress, Count: 2, TopLevel: true},
		"end: concurrent (F26)":        {Keys: []kmsg.Key{kmsg.EndTxn}, Err: kerr.ConcurrentTransactions, Count: 2, TopLevel: true},
		"end: invalid state":           {Keys: []kmsg.Key{kmsg.EndTxn}, Err: kerr.InvalidTxnState, TopLevel: true},
		"end: fenced":                  {Keys: []kmsg.Key{kmsg.EndTxn}, Err: kerr.ProducerFenced, TopLevel: true},
		"end: unknown":                 {Keys: []kmsg.Key{kmsg.EndTxn}, Err: kerr.UnknownServerError, TopLevel: true},
		"init: concurrent":             {Keys: []kmsg.Key{kmsg.InitProducerID}, Err: kerr.ConcurrentTransactions, Count: 3, TopLevel: true},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, func(s *scene) {
				p := s.start()
				s.load(0)
				s.settle(p)
				h := s.broker.Cluster().Fault(f)
				s.load(1)
				s.settle(p)
				if h.Hits() == 0 && f.Keys[0] != kmsg.InitProducerID {
					t.Error("the broker was never asked")
				}
				s.load(2)
				s.settle(p)
				s.expect()
				s.consistent(p)
			})
		})
	}
}

// TestFirstTransactionIsAborted: nothing is committed yet, so the client does not know where to read again.
func TestFirstTransactionIsAborted(t *testing.T) {
	play(t, func(s *scene) {
		s.load(1)
		s.broker.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, Err: kerr.RebalanceInProgress})
		p := s.start()
		s.settle(p)
		s.expect()
		s.consistent(p)
		if n := p.proc.Metrics.Aborts.Load(); n != 1 {
			t.Errorf("%d transactions were aborted, want 1", n)
		}
	})
}

// TestNoopsWriteProgress: a batch in which nothing changed moves the offsets in a transaction with a record of its own.
func TestNoopsWriteProgress(t *testing.T) {
	play(t, func(s *scene) {
		p := s.start()
		s.write("a.md", "one")
		s.settle(p)
		rows := len(s.records("lines.rows", kgo.ReadUncommitted()))
		before := s.committedOffsets()
		s.write("a.md", "one")
		s.settle(p)
		moved := 0
		for id, o := range s.committedOffsets() {
			if o.At == before[id].At {
				continue
			}
			moved++
			meta, err := schemas.DecodeCommit(o.Metadata)
			if err != nil {
				t.Fatal(err)
			}
			progress := s.progress(id)
			if progress.at != meta.Progress || progress.Input[s.source.Topic] != o.At {
				t.Errorf("committed %d with %+v, the last progress record is at %d and says %v", o.At, meta, progress.at, progress.Input)
			}
			if meta.TopicID != s.topics.ChangelogID || meta.Generation != 1 {
				t.Errorf("metadata %+v", meta)
			}
		}
		if moved != 1 {
			t.Errorf("the offsets of %d partitions moved, want 1", moved)
		}
		if n := len(s.records("lines.rows", kgo.ReadUncommitted())); n != rows {
			t.Errorf("%d rows were written", n-rows)
		}
	})
}

// progress is the last progress record of a partition.
func (s *scene) progress(partition int32) (out struct {
	schemas.Progress
	at int64
}) {
	s.Helper()
	for _, r := range s.records("lines.changelog", kgo.ReadCommitted()) {
		if r.Partition != partition || string(r.Key) != schemas.ProgressKey {
			continue
		}
		p, err := schemas.DecodeProgress(streamRecord(r))
		if err != nil {
			s.Fatal(err)
		}
		out.Progress, out.at = p, r.Offset
	}
	return out
}

// TestPendingFinishesInItsOwnTransaction: what is evaluated later than its batch commits without any source record, and
// still states the group's offset, with which the group's generation fences it.
func TestPendingFinishesInItsOwnTransaction(t *testing.T) {
	play(t, func(s *scene) {
		letGo := make(chan struct{})
		p := s.start(func(c *setup) { c.program = newLinesWith(slow{letGo}) })
		s.write("a.md", "slow")
		s.until("a pending document", func() bool { return sum(p).Pending == 1 })
		before := s.committedOffsets()
		if len(before) != 1 {
			t.Fatalf("committed %+v: the input of a pending document is durable", before)
		}
		s.wait(soon)
		if got := s.shelf.list(); got != "" {
			t.Errorf("the target holds %q", got)
		}
		stated := s.broker.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, Observe: true, Count: -1})
		close(letGo)
		s.settle(p)
		s.expect()
		if stated.Hits() == 0 {
			t.Error("the transaction stated no offset")
		}
		for id, o := range s.committedOffsets() {
			if o.At != before[id].At || o.Metadata == before[id].Metadata {
				t.Errorf("partition %d: committed %+v, before %+v", id, o, before[id])
			}
		}
		s.consistent(p)
	})
}

// TestPendingSurvivesARestart, and what superseded it is what counts.
func TestPendingSurvivesARestart(t *testing.T) {
	play(t, func(s *scene) {
		letGo := make(chan struct{})
		program := func(c *setup) { c.program = newLinesWith(slow{letGo}) }
		p := s.start(program)
		s.write("a.md", "slow\none")
		s.write("b.md", "slow\ntwo")
		s.until("pending documents", func() bool { return sum(p).Pending == 2 })
		if err := p.stop(); err != nil {
			t.Fatal(err)
		}
		p = s.start(program)
		s.write("b.md", "three")
		s.until("b.md done", func() bool { return sum(p).Pending == 1 && s.shelf.list() == "page/b.md THREE" })
		close(letGo)
		s.settle(p)
		s.expect()
		s.consistent(p)
	})
}

// TestStoreFailsAfterTheCommit (F11, F12): the store is behind what is committed; a new session restores it.
func TestStoreFailsAfterTheCommit(t *testing.T) {
	for piece := range 3 {
		t.Run(fmt.Sprint("piece ", piece), func(t *testing.T) {
			play(t, func(s *scene) {
				var mu sync.Mutex
				left := 0
				s.stores.interrupt = func(n int) error {
					mu.Lock()
					defer mu.Unlock()
					if n != piece || left == 0 {
						return nil
					}
					left--
					return stream.Errorf(stream.Internal, "apply entries", "no space left on device")
				}
				p := s.start()
				s.load(0)
				s.settle(p)
				mu.Lock()
				left = 1
				mu.Unlock()
				s.load(1)
				s.settle(p)
				s.expect()
				s.consistent(p)
				mu.Lock()
				defer mu.Unlock()
				if left > 0 {
					t.Error("the store never failed")
				}
				if p.restored().records == 0 {
					t.Error("nothing was restored")
				}
			})
		})
	}
}
