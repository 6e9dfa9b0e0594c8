package brokertest

import (
	"strconv"
	"testing"
	"time"

	"github.com/freshet-dev/freshet/internal/testenv"
	"github.com/freshet-dev/freshet/schemas"
	"github.com/freshet-dev/freshet/stream/kafka"
)

// replica is one of several: a static member with a transactional ID and a disk of its own.
func (s *scene) replica(n int, d *disk, change ...func(*kafka.ProcessorConfig)) *process {
	return s.start(d, append([]func(*kafka.ProcessorConfig){func(c *kafka.ProcessorConfig) {
		c.Instance = strconv.Itoa(n)
		c.TransactionalID = s.flow + ".processor." + c.Instance
		c.Standbys = 1
	}}, change...)...)
}

// pressure is a scene whose documents change all the time while something is waited for.
type pressure struct {
	*scene
	rounds int
}

func (p *pressure) until(what string, done func() bool) {
	p.Helper()
	p.scene.until(what, func() bool {
		p.load(p.rounds, 30)
		p.rounds++
		return done()
	})
}

// TestReplicas restarts three replicas one after the other under load. Those that follow a replica's partitions take them
// over when it stops, and it gets its share again when it is back. The figures printed are what it is about; a loaded
// machine makes them worse.
func TestReplicas(t *testing.T) {
	s := newScene(t, testenv.SharedKafka(t))
	disks := []*disk{newDisk(), newDisk(), newDisk()}
	all := make([]*process, len(disks))
	for i, d := range disks {
		all[i] = s.replica(i, d)
	}
	load := &pressure{scene: s}
	load.until("the partitions are shared and followed", func() bool { return shared(all) })
	load.until("some changes are done", func() bool { return load.rounds > 50 })
	began := time.Now()
	for i, p := range all {
		others := []*process{all[(i+1)%3], all[(i+2)%3]}
		before := read(others...)
		stopped := make(chan error, 1)
		go func() { stopped <- p.stop() }()
		ended := false
		load.until("the others take over", func() bool {
			select {
			case err := <-stopped:
				if ended = true; err != nil {
					s.Fatal(err)
				}
			default:
			}
			return ended && len(others[0].proc.Held())+len(others[1].proc.Held()) == partitions
		})
		taken := read(others...) - before
		all[i] = s.replica(i, disks[i])
		load.until("it has its share again", func() bool { return shared(all) })
		t.Logf("replica %d: %d of %d changelog records were read to take its partitions over, %d when it was back", i, taken, s.entries(), read(all[i]))
	}
	idle := s.idle(began)
	t.Logf("at the longest, a partition had no transaction for %s", idle.Round(time.Millisecond))
	if idle > idleLimit {
		t.Errorf("a partition had no transaction for %s, the limit is %s", idle, idleLimit)
	}
	followed := int64(0)
	for _, p := range all {
		followed += p.proc.Metrics.StandbyRecords.Load()
	}
	if followed == 0 {
		t.Error("nothing was followed")
	}
	s.settleAll(all)
	s.expect()
	for _, p := range all {
		if n := p.proc.Metrics.Divergences.Load(); n > 0 {
			t.Errorf("%d divergences", n)
		}
		s.end(p)
	}
}

// read is how many records restores have read.
func read(all ...*process) (n int64) {
	for _, p := range all {
		n += p.proc.Metrics.RestoredRecords.Load()
	}
	return n
}

// idle is the longest time between two transactions of a partition, by the broker's clock, since began.
func (s *scene) idle(began time.Time) (longest time.Duration) {
	s.Helper()
	last := map[int32]time.Time{}
	for _, r := range s.records(s.flow + ".changelog") {
		if string(r.Key) != schemas.ProgressKey || r.Timestamp.Before(began) {
			continue
		}
		if before, ok := last[r.Partition]; ok {
			longest = max(longest, r.Timestamp.Sub(before))
		}
		last[r.Partition] = r.Timestamp
	}
	return longest
}

// settleAll waits until everything in the source is processed by some of the processes.
func (s *scene) settleAll(all []*process) {
	s.Helper()
	s.until("the processors catch up", func() bool {
		left, err := s.cluster.SourceEnds(s.Context(), s.topics)
		if err != nil {
			s.Fatal(err)
		}
		for _, p := range all {
			for _, part := range p.proc.Status() {
				if part.State == "ready" && !part.Busy && part.Next >= left[part.Partition] {
					delete(left, part.Partition)
				}
			}
		}
		return len(left) == 0
	})
}
