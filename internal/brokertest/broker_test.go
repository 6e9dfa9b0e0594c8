package brokertest

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/freshet-dev/freshet/internal/testenv"
	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/kafka"
)

// TestRestoreAfterACleanStop reads nothing of the changelog.
func TestRestoreAfterACleanStop(t *testing.T) {
	s := newScene(t, testenv.SharedKafka(t))
	d := newDisk()
	for round := range 5 {
		p := s.start(d)
		s.load(round, 50)
		s.settle(p)
		if fetches := p.proc.Metrics.RestoreFetches.Load(); fetches > 0 {
			t.Errorf("start %d: %d fetches of the changelog, want 0", round, fetches)
		}
		s.end(p)
	}
	s.expect()
}

// TestRestoreAfterAKill reads only what was not applied: the disk is the one of the moment after the commit and before it
// was applied, as kill -9 leaves it.
func TestRestoreAfterAKill(t *testing.T) {
	s := newScene(t, testenv.SharedKafka(t))
	d := newDisk()
	p := s.start(d)
	s.load(0, 200)
	s.settle(p)
	s.end(p)
	full := s.entries()

	var left *disk
	var commits atomic.Int64
	p = s.start(d, func(c *kafka.ProcessorConfig) {
		c.At = func(point string) {
			if point == "F11" && commits.Add(1) == 1 {
				left = d.copied(t)
			}
		}
	})
	s.load(1, 20)
	s.settle(p)
	s.end(p)
	missed := s.entries() - full
	if left == nil || missed == 0 {
		t.Fatal("nothing was committed")
	}

	p = s.start(left)
	s.load(2, 20)
	s.settle(p)
	s.expect()
	fetches, records := p.proc.Metrics.RestoreFetches.Load(), p.proc.Metrics.RestoredRecords.Load()
	t.Logf("%d of %d records read in %d fetches", records, full+missed, fetches)
	if records != missed || fetches == 0 || fetches > 4*partitions {
		t.Errorf("%d records in %d fetches, want %d", records, fetches, missed)
	}
	s.end(p)

	// A new disk reads everything.
	full = s.entries()
	p = s.start(newDisk())
	s.settle(p)
	if n := p.proc.Metrics.RestoredRecords.Load(); n != full {
		t.Errorf("%d records restored, want all %d", n, full)
	}
}

// TestBrokerIsKilled under load and comes back; the processor waits and goes on, also when it was in a transaction.
func TestBrokerIsKilled(t *testing.T) {
	broker := testenv.Kafka(t, testenv.KafkaOptions{})
	s := newScene(t, broker)
	p := s.start(newDisk())
	for round := range 2 {
		s.load(round, 100)
		broker.Kill()
		broker.Start(t)
	}
	s.load(2, 100)
	s.settle(p)
	s.expect()
	if n := p.proc.Metrics.Divergences.Load(); n > 0 {
		t.Errorf("%d divergences", n)
	}
}

// TestStopWhileTheBrokerIsAway: a process that is asked to stop ends, though its transaction can't.
func TestStopWhileTheBrokerIsAway(t *testing.T) {
	broker := testenv.Kafka(t, testenv.KafkaOptions{})
	s := newScene(t, broker)
	open := make(chan struct{})
	goOn := make(chan struct{})
	var once atomic.Bool
	p := s.start(newDisk(), func(c *kafka.ProcessorConfig) {
		c.At = func(point string) {
			if point == "F2" && once.CompareAndSwap(false, true) {
				close(open)
				<-goOn
			}
		}
	})
	s.load(0, 10)
	<-open
	broker.Kill()
	close(goOn)
	p.abort()
	select {
	case <-p.done:
	case <-time.After(45 * time.Second):
		t.Error("the process hangs")
		broker.Start(t)
	}
}

// TestTransactionTimesOut (F17, F18): the process stands still in the middle of a transaction for longer than the broker
// keeps it and the group waits, and then goes on.
func TestTransactionTimesOut(t *testing.T) {
	s := newScene(t, testenv.SharedKafka(t))
	var once atomic.Bool
	p := s.start(newDisk(), func(c *kafka.ProcessorConfig) {
		c.At = func(point string) {
			if point == "F4" && once.CompareAndSwap(false, true) {
				<-time.After(25 * time.Second)
			}
		}
	})
	s.load(0, 50)
	s.load(1, 50)
	s.settle(p)
	s.expect()
	t.Logf("%d aborts", p.proc.Metrics.Aborts.Load())
}

// TestLargeRecords: a row near the bound goes through; one that is larger is quarantined, and its partition goes on (F24).
func TestLargeRecords(t *testing.T) {
	s := newScene(t, testenv.SharedKafka(t))
	p := s.start(newDisk())
	for i, size := range []int{1 << 20, 7 << 20} {
		path := fmt.Sprint("large", i, ".md")
		s.files[path] = string(random(size))
		s.publish(file(path, s.files[path]))
	}
	s.load(0, 20)
	s.settle(p)
	s.expect()
	if n := kafka.Totals(p.proc.Status()).Quarantined; n > 0 {
		t.Errorf("%d documents quarantined", n)
	}
}

// TestReset processes everything again under a higher generation.
func TestReset(t *testing.T) {
	s := newScene(t, testenv.SharedKafka(t))
	d := newDisk()
	p := s.start(d)
	s.load(0, 50)
	s.settle(p)
	if _, err := s.cluster.Reset(t.Context(), s.flow, s.source, 0); stream.KindOf(err) != stream.Usage {
		t.Errorf("while a replica runs: %v", err)
	}
	s.end(p)
	// A static member stays in the group until its session ends.
	s.until("the group is empty", func() bool {
		_, err := s.cluster.Reset(t.Context(), s.flow, s.source, 0)
		return err == nil
	})
	s.ensure()
	if s.topics.Generation.Generation < 2 {
		t.Errorf("generation %d", s.topics.Generation.Generation)
	}
	p = s.start(d)
	s.load(1, 50)
	s.settle(p)
	s.expect()
}

// TestTwoReplicas split the partitions; the address of each is found by the group.
func TestTwoReplicas(t *testing.T) {
	s := newScene(t, testenv.SharedKafka(t))
	name := func(n int) func(*kafka.ProcessorConfig) {
		return func(c *kafka.ProcessorConfig) {
			c.Instance, c.TransactionalID = fmt.Sprint(n), fmt.Sprint(s.flow, ".processor.", n)
			c.ControlAddress = fmt.Sprint("http://127.0.0.1:", 9000+n)
		}
	}
	first := s.start(newDisk(), name(0))
	s.load(0, 100)
	second := s.start(newDisk(), name(1))
	s.until("the partitions split", func() bool { return len(first.proc.Held()) == 2 && len(second.proc.Held()) == 2 })
	for round := range 5 {
		s.load(round+1, 100)
	}
	members, err := s.cluster.Members(t.Context(), kafka.ProcessorGroup(s.flow))
	if err != nil || len(members) != 2 {
		t.Errorf("addresses %v (%v)", members, err)
	}
	s.end(second)
	s.load(6, 100)
	s.until("the first has all", func() bool { return len(first.proc.Held()) == partitions })
	s.settle(first)
	s.expect()
}
