package kafka_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/kafka"
)

// replica gives a process stores and an address of its own.
func replica(stores *memoryStores, address string) func(*setup) {
	return func(c *setup) {
		c.processor.Stores = stores
		c.processor.ControlAddress = address
		c.delivery.ControlAddress = address
	}
}

// held returns how many partitions each process processes.
func held(all ...*process) (out []int) {
	for _, p := range all {
		out = append(out, len(p.proc.Held()))
	}
	return out
}

// TestYieldersAreFound: a process that yields is known by its address until it leaves.
func TestYieldersAreFound(t *testing.T) {
	play(t, func(s *scene) {
		s.start()
		leave, err := s.cluster.Yield("lines", "127.0.0.1:7")
		if err != nil {
			t.Fatal(err)
		}
		yields := func() bool {
			members, err := s.cluster.Members(s.Context(), kafka.YieldGroup("lines"))
			return err == nil && slices.Equal(members, []string{"127.0.0.1:7"})
		}
		s.until("it is found", yields)
		s.wait(time.Minute)
		if !yields() {
			t.Error("after a minute it is found no more")
		}
		leave(s.Context())
		if yields() {
			t.Error("it is found when it has left")
		}
	})
}

// TestTwoMembers: partitions split when a second replica joins under load, their state follows, and they come back when
// it leaves.
func TestTwoMembers(t *testing.T) {
	playReal(t, func(s *scene) {
		disk := newStores()
		first := s.start(replica(newStores(), "http://127.0.0.1:1"))
		s.load(0)
		s.load(1)
		second := s.start(replica(disk, "http://127.0.0.1:2"))
		for round := 2; len(second.proc.Held()) == 0 || round < 6; round++ {
			s.load(round)
			s.wait(200 * time.Millisecond)
		}
		s.settle(first, second)
		s.expect()
		s.consistent(first, second)
		if got := held(first, second); !slices.Contains(got, 1) || !slices.Contains(got, 2) {
			t.Errorf("%v partitions each, want 1 and 2", got)
		}
		if second.restored().records == 0 {
			t.Error("no state followed the partitions")
		}
		members, err := s.cluster.Members(s.Context(), kafka.ProcessorGroup("lines"))
		slices.Sort(members)
		if want := []string{"http://127.0.0.1:1", "http://127.0.0.1:2"}; err != nil || !slices.Equal(members, want) {
			t.Errorf("the group's control addresses are %v (%v), want %v", members, err, want)
		}

		s.load(7)
		if err := second.stop(); err != nil {
			t.Fatal(err)
		}
		s.load(8)
		s.settle(first)
		s.expect()
		s.consistent(first)

		// It comes back with its old disk: partitions that moved on meanwhile are caught up with, not wiped.
		second = s.start(replica(disk, ""))
		s.until("the partitions split", func() bool { return len(second.proc.Held()) > 0 })
		s.load(9)
		s.settle(first, second)
		s.expect()
		s.consistent(first, second)
		if len(disk.wiped) > 0 {
			t.Errorf("partitions %v were wiped", disk.wiped)
		}
	})
}

// TestSticky: when a member joins, nobody is given a partition that another keeps: only what must move does.
func TestSticky(t *testing.T) {
	playReal(t, func(s *scene) {
		first := s.start(replica(newStores(), "http://127.0.0.1:1"))
		s.load(0)
		s.settle(first)
		second := s.start(replica(newStores(), "http://127.0.0.1:2"))
		s.until("the partitions split", func() bool { return len(second.proc.Held()) == 1 && len(first.proc.Held()) == 2 })
		kept := first.proc.Held()
		third := s.start(replica(newStores(), "http://127.0.0.1:3"))
		s.until("each has one", func() bool { return slices.Equal(held(first, second, third), []int{1, 1, 1}) })
		if p := first.proc.Held(); !slices.Contains(kept, p[0]) {
			t.Errorf("the first kept %v and now has %v", kept, p)
		}
		s.load(1)
		s.settle(first, second, third)
		s.expect()
	})
}

// TestAMemberJoinsInTheMiddleOfATransaction (F16): the transaction is aborted or committed, whatever the group says;
// what moved is done by its new owner.
func TestAMemberJoinsInTheMiddleOfATransaction(t *testing.T) {
	t.Parallel()
	for _, point := range []string{"F1", "F2", "F4", "F6"} {
		t.Run(point, func(t *testing.T) {
			playReal(t, func(s *scene) {
				joining, joined := make(chan struct{}), make(chan struct{})
				first := s.start(replica(newStores(), ""), s.at(point, 1, func() {
					close(joining)
					<-joined
				}))
				s.load(0)
				<-joining
				in := s.broker.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.JoinGroup}, Group: "lines", Observe: true, Count: -1})
				second := s.start(replica(newStores(), ""))
				if err := in.Wait(s.Context(), 2); err != nil { // both have joined again
					t.Fatal(err)
				}
				close(joined)
				s.load(3)
				s.until("the partitions split", func() bool { // which has two depends on who was fenced for its slowness
					a, b := len(first.proc.Held()), len(second.proc.Held())
					return a+b == 3 && a > 0 && b > 0
				})
				s.settle(first, second)
				s.expect()
				s.consistent(first, second)
			})
		})
	}
}

// TestRebalancesUnderLoad lets the broker send the group into one rebalance after another, two before one transaction's
// end included, while another member comes and goes.
func TestRebalancesUnderLoad(t *testing.T) {
	playReal(t, func(s *scene) {
		first := s.start(replica(newStores(), ""))
		disk := newStores()
		again := kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, Group: "lines", Err: kerr.RebalanceInProgress, TopLevel: true}
		for round := range 12 {
			s.broker.Cluster().Fault(again, again)
			second := s.start(replica(disk, ""))
			s.load(round)
			s.wait(time.Duration(round) * 170 * time.Millisecond)
			s.load(round + 1)
			if err := second.stop(); err != nil {
				t.Fatal(err)
			}
		}
		s.settle(first)
		s.expect()
		s.consistent(first)
	})
}

// TestOneOfTwoDies: the other takes its partitions when its session has ended.
func TestOneOfTwoDies(t *testing.T) {
	playReal(t, func(s *scene) {
		first, second := s.start(replica(newStores(), "")), s.start(replica(newStores(), ""))
		s.load(0)
		s.until("the partitions split", func() bool { return len(first.proc.Held()) > 0 && len(second.proc.Held()) > 0 })
		s.settle(first, second)
		second.link.sever()
		s.load(1)
		s.load(2)
		s.until("the first has all", func() bool { return len(first.proc.Held()) == partitions })
		s.settle(first)
		s.expect()
		s.consistent(first)
	})
}

// TestTwins (F28): two processes with one transactional ID don't fight for ever: one of them ends and says why.
func TestTwins(t *testing.T) {
	playReal(t, func(s *scene) {
		same := func(c *setup) { c.processor.TransactionalID, c.deliver = "lines.processor.0", false }
		first := s.start(replica(newStores(), ""), same)
		second := s.start(replica(newStores(), ""), same)
		var ended *process
		for round := 0; ended == nil; round++ {
			s.load(round)
			select {
			case <-first.ended:
				ended = first
			case <-second.ended:
				ended = second
			case <-time.After(300 * time.Millisecond):
			}
		}
		ended.halts(stream.Usage, "another process runs as the same replica", "--replica")
	})
}

// TestStaticTwins: two static members of one name: one of them ends and says why.
func TestStaticTwins(t *testing.T) {
	play(t, func(s *scene) {
		same := func(c *setup) { c.processor.Instance, c.deliver = "0", false }
		first := s.start(replica(newStores(), ""), same)
		s.load(0)
		s.settle(first)
		second := s.start(replica(newStores(), ""), same)
		first.halts(stream.Usage, "another process runs as the same replica", "--replica")
		s.load(1)
		s.settle(second)
	})
}

// TestStaticTwinsDeliver: the same of two deliveries to one target.
func TestStaticTwinsDeliver(t *testing.T) {
	play(t, func(s *scene) {
		same := func(c *setup) { c.delivery.Instance, c.process = "0", false }
		source := s.start(func(c *setup) { c.deliver = false })
		first := s.start(same)
		s.load(0)
		s.settle(source, first)
		second := s.start(same)
		first.halts(stream.Usage, "another process runs as the same replica", "--replica")
		s.load(1)
		s.settle(source, second)
		s.expect()
	})
}

// TestFencedWithoutTwin: a static member that the group shuts out, as one whose join was repeated is, joins anew; only what happens
// again and again is a twin.
func TestFencedWithoutTwin(t *testing.T) {
	play(t, func(s *scene) {
		p := s.start(func(c *setup) { c.processor.Instance, c.delivery.Instance = "0", "0" })
		for round := range 3 {
			s.load(round)
			s.settle(p)
			s.broker.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, Err: kerr.FencedInstanceID, Count: 2}) // both groups
			s.wait(2 * time.Minute)
		}
		s.load(3)
		s.settle(p)
		s.expect()
		s.consistent(p)
	})
}

// TestManyDocuments moves more than one poll and one restore piece can hold.
func TestManyDocuments(t *testing.T) {
	playReal(t, func(s *scene) {
		var records []stream.Record
		for i := range 3000 {
			path := fmt.Sprintf("many/%04d.md", i)
			s.files[path] = fmt.Sprintf("line\nof %d\nand %d", i, i%7)
			records = append(records, fileRecord(path, s.files[path]))
		}
		s.publish(records...)
		first := s.start(replica(newStores(), ""), func(c *setup) { c.processor.MaxPoll = 500 })
		s.settle(first)
		second := s.start(replica(newStores(), ""))
		s.until("the partitions split", func() bool { return len(second.proc.Held()) > 0 })
		var deletes []stream.Record
		for i, path := range slices.Sorted(maps.Keys(s.files)) {
			if i%3 == 0 {
				delete(s.files, path)
				deletes = append(deletes, deleteRecord(path))
			}
		}
		s.publish(deletes...)
		s.settle(first, second)
		s.expect()
		s.consistent(first, second)
	})
}
