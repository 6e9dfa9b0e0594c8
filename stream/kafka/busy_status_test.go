package kafka_test

import (
	"fmt"
	"testing"

	"github.com/freshet-dev/freshet/stream"
)

// TestStatusUnderLoad: a processor that always has the next records at hand, and so reads ahead in each round, still says
// how far it is.
func TestStatusUnderLoad(t *testing.T) {
	play(t, func(s *scene) {
		var all []stream.Record
		for _, path := range paths(60) {
			for edit := range 50 {
				s.files[path] = fmt.Sprintf("line %d", edit)
				all = append(all, fileRecord(path, s.files[path]))
			}
		}
		s.publish(all...)
		rounds, said := 0, int64(0)
		var p *process
		started := make(chan struct{})
		p = s.start(func(c *setup) {
			c.processor.MaxPoll = 50
			c.processor.At = func(point string) {
				<-started
				if point != "F2" || rounds > 40 {
					return
				}
				if rounds++; rounds == 40 {
					for _, part := range p.processed() {
						said += part.Next
					}
				}
			}
		})
		close(started)
		s.settle(p)
		s.expect()
		if said < 1000 {
			t.Errorf("after 40 transactions of 50 records it said that %d were done", said)
		}
	})
}
