package kafka_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet-dev/freshet/schemas"
	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/engine"
	"github.com/freshet-dev/freshet/stream/kafka"
)

// TestIntakeFeedsProcessors: documents of two topics end in the target as their sources say, and changes are counted once.
func TestIntakeFeedsProcessors(t *testing.T) {
	play(t, func(plain *scene) {
		s := withIntake(plain)
		p := s.start(func(c *setup) {
			c.decoder = schemas.NewIntake(map[string]stream.Decoder{"note": schemas.NewFiles("note"), "page": schemas.NewFiles("page")})
		})
		in := s.take("lines.intake.0")
		for round := range 3 {
			s.burst(round)
			s.taken()
		}
		s.settle(p)
		var want []string
		for id, content := range s.files {
			for line := range linesOf(content) {
				want = append(want, id+" "+strings.ToUpper(line))
			}
		}
		slices.Sort(want)
		if got := s.shelf.list(); got != strings.Join(want, "\n") {
			t.Errorf("the target holds:\n%s\nwant:\n%s", got, strings.Join(want, "\n"))
		}
		s.once()
		c := p.totals.Snapshot()
		if n := c.Applied + c.Noop + c.Superseded + c.Quarantined; n != 48 {
			t.Errorf("%d changes were counted (%+v), want 48", n, c)
		}
		if n := in.Metrics.Records.Load(); n != 48 {
			t.Errorf("%d records were taken in", n)
		}
		if n, all, err := in.Behind(s.Context()); n != 0 || !all || err != nil {
			t.Errorf("behind by %d, owns all: %t, %v", n, all, err)
		}
	})
}

var intakePoints = []string{"I1", "I2", "I3", "I4", "I5", "I6", "I7", "I8", "I9", "I10", "I11"}

// atIntake calls fn when the intake reaches point for the n-th time.
func (s *intakeScene) atIntake(point string, n int64, fn func()) func(*kafka.IntakeConfig) {
	var passed atomic.Int64
	key, wire := onWire["F"+point[1:]]
	seen := s.broker.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{key}, Observe: true, Count: -1})
	return func(c *kafka.IntakeConfig) {
		c.At = func(p string) {
			if p != point || passed.Add(1) != n {
				return
			}
			if wire { // the broker has acted before the process goes
				_ = seen.Wait(s.Context(), int(n)) // the test is over
			}
			fn()
		}
	}
}

// TestIntakeKilledAtEveryPoint takes an intake away at every point of its second transaction. The next start of the same
// replica goes on; then the first comes back, as a process that was stopped and continued does, and changes nothing.
func TestIntakeKilledAtEveryPoint(t *testing.T) {
	t.Parallel()
	for _, point := range intakePoints {
		t.Run(point, func(t *testing.T) {
			playReal(t, func(plain *scene) {
				s := withIntake(plain)
				var first *intake
				killed := make(chan struct{})
				first = s.take("lines.intake.0", s.atIntake(point, 2, func() {
					first.link.sever()
					close(killed)
				}))
				s.burst(0)
				s.eventually("the first transaction", func() bool { return first.Metrics.Commits.Load() > 0 })
				for round := 1; ; round++ {
					s.burst(round)
					select {
					case <-killed:
					case <-time.After(100 * time.Millisecond):
						continue
					}
					break
				}
				second := s.take("lines.intake.0")
				s.burst(90)
				s.taken()
				s.once()
				first.link.restore()
				s.burst(91)
				s.taken()
				second.cancel()
				first.cancel()
				<-first.done
				<-second.done
				s.once()
			})
		})
	}
}

// TestIntakeRefusedByTheBroker lets the broker refuse one request of a transaction: it is done again, once.
func TestIntakeRefusedByTheBroker(t *testing.T) {
	for name, f := range map[string]kfake.Fault{
		"records: leader moved":       {Keys: []kmsg.Key{kmsg.Produce}, Topic: "lines.intake", Err: kerr.NotLeaderForPartition},
		"records: invalid":            {Keys: []kmsg.Key{kmsg.Produce}, Topic: "lines.intake", Err: kerr.InvalidRecord},
		"records: unknown":            {Keys: []kmsg.Key{kmsg.Produce}, Topic: "lines.intake", Err: kerr.UnknownServerError},
		"offsets: rebalance":          {Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, Err: kerr.RebalanceInProgress},
		"offsets: illegal generation": {Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, Err: kerr.IllegalGeneration},
		"offsets: fenced":             {Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, Err: kerr.ProducerFenced},
		"end: invalid state":          {Keys: []kmsg.Key{kmsg.EndTxn}, Err: kerr.InvalidTxnState, TopLevel: true},
		"end: unknown":                {Keys: []kmsg.Key{kmsg.EndTxn}, Err: kerr.UnknownServerError, TopLevel: true},
	} {
		t.Run(name, func(t *testing.T) {
			for _, first := range []bool{true, false} { // the first transaction: nothing is committed yet
				play(t, func(plain *scene) {
					s := withIntake(plain)
					var h *kfake.FaultHandle
					if first {
						h = s.broker.Cluster().Fault(f)
					}
					s.take("lines.intake.0")
					s.burst(0)
					s.taken()
					if !first {
						h = s.broker.Cluster().Fault(f)
					}
					s.burst(1)
					s.taken()
					if h.Hits() == 0 {
						t.Error("the broker was never asked")
					}
					s.burst(2)
					s.taken()
					s.once()
				})
			}
		})
	}
}

// TestIntakeFirstTransactionIsAborted: nothing is committed yet, and the sources' logs begin late, so that the client does
// not know where to read again.
func TestIntakeFirstTransactionIsAborted(t *testing.T) {
	play(t, func(plain *scene) {
		s := withIntake(plain)
		s.burst(0)
		for _, name := range sourceNames {
			s.cut(sourceTopic(name))
		}
		s.burst(1)
		s.broker.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, Err: kerr.RebalanceInProgress})
		in := s.take("lines.intake.0")
		s.taken()
		if n := len(s.records(kafka.IntakeTopic("lines"), kgo.ReadCommitted())); n != 16 || in.Metrics.Aborts.Load() != 1 {
			t.Errorf("%d records were taken in by transactions of which %d were aborted, want 16 and 1", n, in.Metrics.Aborts.Load())
		}
	})
}

// cut deletes all records of a topic.
func (s *intakeScene) cut(topic string) {
	s.Helper()
	end, err := s.admin().ListEndOffsets(s.Context(), topic)
	if err != nil {
		s.Fatal(err)
	}
	var to kadm.Offsets
	end.Each(func(o kadm.ListedOffset) { to.AddOffset(o.Topic, o.Partition, o.Offset, -1) })
	if _, err := s.admin().DeleteRecords(s.Context(), to); err != nil {
		s.Fatal(err)
	}
}

// TestIntakeRebalances: replicas come and go under load; every record is taken in once.
func TestIntakeRebalances(t *testing.T) {
	playReal(t, func(plain *scene) {
		s := withIntake(plain)
		first := s.take("lines.intake.0")
		stop, stopped := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(stopped)
			for round := 0; ; round++ {
				s.burst(round)
				select {
				case <-stop:
					return
				case <-time.After(30 * time.Millisecond):
				}
			}
		}()
		for i := range 3 {
			second := s.take(fmt.Sprint("lines.intake.", i+1))
			s.eventually("partitions move", func() bool { return len(second.Status()) > 0 && second.Metrics.Commits.Load() > 0 })
			if i%2 == 0 {
				if err := second.stop(); err != nil {
					t.Error(err)
				}
				continue
			}
			second.link.sever() // it dies, and its group notices
			s.eventually("the others own all", func() bool { _, all, _ := first.Behind(s.Context()); return all })
			second.link.restore()
			s.eventually("it is back", func() bool { return len(second.Status()) > 0 })
			if err := second.stop(); err != nil {
				t.Error(err)
			}
		}
		close(stop)
		<-stopped
		s.taken()
		s.once()
	})
}

// TestIntakeUnkeyed: records that name no document are passed on, spread by their positions, and the processors
// quarantine them by the position in the source's topic.
func TestIntakeUnkeyed(t *testing.T) {
	play(t, func(plain *scene) {
		s := withIntake(plain)
		p := s.start(func(c *setup) {
			c.decoder = schemas.NewIntake(map[string]stream.Decoder{"note": schemas.NewFiles("note"), "page": schemas.NewFiles("page")})
		})
		s.take("lines.intake.0")
		var strange []stream.Record
		for range 12 {
			strange = append(strange, stream.Record{Value: []byte("?")})
		}
		s.send("page", strange...)
		s.burst(1)
		s.taken()
		s.settle(p)
		s.once()
		lies := map[int32]bool{}
		for _, r := range s.records(kafka.IntakeTopic("lines"), kgo.ReadCommitted()) {
			if strings.HasPrefix(string(r.Key), sourceTopic("page")+"/") {
				lies[r.Partition] = true
			}
		}
		if len(lies) < 2 {
			t.Errorf("records without a document lie in partitions %v only", lies)
		}
		if n := sum(p).Rejected; n != 12 {
			t.Errorf("%d records were quarantined, want 12", n)
		}
		for _, store := range s.stores.open {
			err := engine.RejectedRecords(store, func(r engine.Rejected) error {
				if r.Position.Topic != sourceTopic("page") {
					t.Errorf("quarantined at %+v", r.Position)
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		}
	})
}

// TestIntakeOffsetsGone: a group that forgot its offsets is told them by the intake topic.
func TestIntakeOffsetsGone(t *testing.T) {
	play(t, func(plain *scene) {
		s := withIntake(plain)
		in := s.take("lines.intake.0")
		s.burst(0)
		s.burst(1)
		s.taken()
		if err := in.stop(); err != nil {
			t.Fatal(err)
		}
		if _, err := s.admin().DeleteGroup(s.Context(), kafka.IntakeGroup("lines")); err != nil {
			t.Fatal(err)
		}
		s.burst(2)
		s.take("lines.intake.0x")
		s.taken()
		s.once()
	})
}

// TestIntakeHalts on a source that lost records before they were taken in, and says which command helps.
func TestIntakeHalts(t *testing.T) {
	play(t, func(plain *scene) {
		s := withIntake(plain)
		in := s.take("lines.intake.0")
		s.burst(0)
		s.taken()
		if err := in.stop(); err != nil {
			t.Fatal(err)
		}
		s.burst(1)
		s.cut(sourceTopic("page"))
		in = s.take("lines.intake.0x")
		select {
		case <-in.done:
		case <-time.After(intakePatience):
			t.Fatal("it goes on")
		}
		if err := in.stop(); stream.KindOf(err) != stream.Usage || !strings.Contains(err.Error(), "freshet reset") {
			t.Errorf("kind %v: %v", stream.KindOf(err), err)
		}
	})
}

// TestIntakeReset: a new generation takes everything in again, and its first pass ends when what the sources held then is
// processed, though the intake topic was empty; also where the end of the last transaction there is read by itself.
func TestIntakeReset(t *testing.T) {
	for name, most := range map[string]int{"at once": 0, "record by record": 1} {
		t.Run(name, func(t *testing.T) { intakeReset(t, most) })
	}
}

func intakeReset(t *testing.T, most int) {
	play(t, func(plain *scene) {
		s := withIntake(plain)
		decode := func(c *setup) {
			c.processor.MaxPoll = most
			c.decoder = schemas.NewIntake(map[string]stream.Decoder{"note": schemas.NewFiles("note"), "page": schemas.NewFiles("page")})
		}
		p, in := s.start(decode), s.take("lines.intake.0")
		s.burst(0)
		s.burst(1)
		s.taken()
		s.settle(p)
		if err := errors.Join(p.stop(), in.stop()); err != nil {
			t.Fatal(err)
		}
		g := s.reset(0)
		if g.Generation != 2 || g.ResetEnds != nil || len(g.IntakeEnds) != 2 {
			t.Errorf("generation %+v", g)
		}
		s.published = map[string]int{} // counted from the topics' starts, all of it is taken in again
		for _, name := range sourceNames {
			s.published[sourceTopic(name)] = len(s.records(sourceTopic(name), kgo.ReadCommitted()))
		}
		p = s.start(decode)
		s.until("the pass is awaited", func() bool {
			return len(p.proc.Status()) == partitions && !slices.ContainsFunc(p.proc.Status(), func(q kafka.PartitionStatus) bool { return !q.Busy })
		})
		s.take("lines.intake.0x")
		s.taken()
		s.until("the rows of the old generation are swept", func() bool { return len(s.shelf.swept()) == partitions })
		s.settle(p)
		s.once()
		if got := s.shelf.generations(); !slices.Equal(got, []int64{2}) {
			t.Errorf("rows of generations %v, want 2 only", got)
		}
	})
}

// TestIntakeOfTransactions: sources that are written in transactions end in records of control, which hold nothing up.
func TestIntakeOfTransactions(t *testing.T) {
	play(t, func(plain *scene) {
		s := withIntake(plain)
		decode := func(c *setup) {
			c.decoder = schemas.NewIntake(map[string]stream.Decoder{"note": schemas.NewFiles("note"), "page": schemas.NewFiles("page")})
		}
		cl := s.client(kgo.TransactionalID("writer"))
		for i, end := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort, kgo.TryCommit} {
			if err := cl.BeginTransaction(); err != nil {
				t.Fatal(err)
			}
			for j := range 6 {
				r := schemas.EncodeFile(schemas.FileEvent{Source: "page", Path: fmt.Sprint(j), Content: fmt.Append(nil, i)})
				if err := cl.ProduceSync(s.Context(), toKafka(sourceTopic("page"), r)).FirstErr(); err != nil {
					t.Fatal(err)
				}
			}
			if err := cl.EndTransaction(s.Context(), end); err != nil {
				t.Fatal(err)
			}
		}
		s.reset(0)
		p, in := s.start(decode), s.take("lines.intake.0")
		s.until("all is taken in", func() bool { n, all, err := in.Behind(s.Context()); return n == 0 && all && err == nil })
		s.until("the first pass has ended", func() bool { return len(s.shelf.swept()) == partitions })
		s.settle(p)
		if n := len(s.records(kafka.IntakeTopic("lines"), kgo.ReadCommitted())); n != 12 {
			t.Errorf("%d records were taken in, want 12", n)
		}
		if got := strings.Count(s.shelf.list(), " 2"); got != 6 {
			t.Errorf("the target holds:\n%s", s.shelf.list())
		}
	})
}

// TestIntakeEndsWithoutABroker: what was sent to a broker that is gone since is not waited for when the intake is to end.
func TestIntakeEndsWithoutABroker(t *testing.T) {
	playReal(t, func(s *scene) {
		i := withIntake(s)
		i.burst(0)
		gone := &goneWhenSent{link: &link{dial: s.dial}, sent: make(chan struct{})}
		in := i.take("0", func(c *kafka.IntakeConfig) {
			c.Cluster.Dial, c.Cluster.Hooks = gone.link.open, []kgo.Hook{gone}
		})
		<-gone.sent
		in.cancel()
		select {
		case <-in.done:
		case <-time.After(intakePatience):
			t.Fatal("it waits for an answer that never comes")
		}
		if in.err != nil {
			t.Errorf("it says: %v", in.err)
		}
	})
}
