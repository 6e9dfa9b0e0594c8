package kafka_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/freshet-dev/freshet/stream"
)

// changes is how many changes a process has done.
func (p *process) changes() int64 {
	c := p.totals.Snapshot()
	return c.Applied + c.Noop + c.Superseded
}

// flood writes changes without a pause, until each process has done so many more.
func (s *scene) flood(round *int, more int64, all ...*process) {
	s.Helper()
	before := make([]int64, len(all))
	for i, p := range all {
		before[i] = p.changes()
	}
	s.until(fmt.Sprintf("each of %d processes does %d more changes", len(all), more), func() bool {
		var records []stream.Record
		for i := range 300 {
			path := fmt.Sprintf("flood/%03d.md", i)
			if *round++; *round%11 == 0 {
				delete(s.files, path)
				records = append(records, deleteRecord(path))
				continue
			}
			s.files[path] = fmt.Sprintf("line\nof %d\nchange %d", i, *round)
			records = append(records, fileRecord(path, s.files[path]))
		}
		s.publish(records...)
		for i, p := range all {
			select {
			case <-p.ended:
				s.Fatalf("a process ended: %v", p.stop())
			default:
			}
			if p.changes()-before[i] < more {
				return false
			}
		}
		return true
	})
}

// TestMovesUnderLoad: replicas join, stop, die and come back while changes flow; after each move every replica does its
// share, and state follows the partitions.
func TestMovesUnderLoad(t *testing.T) {
	playReal(t, func(s *scene) {
		const share = 1000
		disks := []*memoryStores{newStores(), newStores(), newStores()}
		round := 0
		run := func(i int) *process { return s.start(replica(disks[i], ""), standbys(1)) }
		split := func(all ...*process) {
			s.until("the partitions are shared", func() bool {
				n := held(all...)
				return slices.Min(n) > 0 && slices.Max(n) <= partitions-len(all)+1
			})
			s.flood(&round, share, all...)
		}
		first := run(0)
		split(first)
		second := run(1)
		split(first, second)
		third := run(2)
		split(first, second, third)
		if err := first.stop(); err != nil {
			t.Fatal(err)
		}
		split(second, third)
		first = run(0)
		split(first, second, third)
		second.link.sever()
		split(first, third)
		s.settle(first, third)
		s.expect()
		s.consistent(first, third)
		for i, d := range disks {
			if len(d.wiped) > 0 {
				t.Errorf("machine %d: partitions %v were wiped", i, d.wiped)
			}
		}
	})
}
