package kafka_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/freshet-dev/freshet/schemas"
	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/engine"
)

// strict is a decoder that fails in a way that nobody foresaw where a file contains its word.
type strict struct {
	stream.Decoder
	word string
	kind stream.ErrorKind
}

func (d strict) Decode(r *stream.Record) (stream.Change, error) {
	if strings.Contains(string(r.Value), d.word) {
		return stream.Change{}, stream.Errorf(d.kind, "decode", "the registry is confused")
	}
	return d.Decoder.Decode(r)
}

// TestUnclassifiedErrorStopsItsPartitionOnly (invariant 8): the others go on, and nothing of the stopped one is lost.
func TestUnclassifiedErrorStopsItsPartitionOnly(t *testing.T) {
	play(t, func(s *scene) {
		decoder := func(c *setup) { c.decoder = strict{schemas.NewFiles("page"), "poison", stream.Internal} }
		p := s.start(decoder)
		s.load(1)
		s.settle(p)
		s.write("00.md", "poison")
		s.until("one partition stopped", func() bool { return stopped(p) == 1 })
		s.write("00.md", "well again")
		for round := range 4 {
			s.load(round)
		}
		s.wait(soon)
		if n := stopped(p); n != 1 {
			t.Errorf("%d partitions stopped", n)
		}
		moved := 0
		for _, part := range p.proc.Status() {
			if part.State == "ready" {
				moved++
			} else if !strings.Contains(part.Error, "the registry is confused") {
				t.Errorf("partition %d says %q", part.Partition, part.Error)
			}
		}
		if moved != partitions-1 {
			t.Errorf("%d partitions work, want %d", moved, partitions-1)
		}
		s.end(p)

		// Once the decoder is corrected, the partition goes on where it stopped.
		p = s.start()
		s.settle(p)
		s.expect()
		s.consistent(p)
	})
}

func stopped(p *process) (n int) {
	for _, part := range p.proc.Status() {
		if part.State == "stopped" {
			n++
		}
	}
	return n
}

// TestInvalidRecordIsQuarantined: it names no document, so it is kept by position, and its partition goes on.
func TestInvalidRecordIsQuarantined(t *testing.T) {
	play(t, func(s *scene) {
		p := s.start(func(c *setup) { c.decoder = strict{schemas.NewFiles("page"), "poison", stream.Invalid} })
		s.publish(fileRecord("00.md", "poison"))
		s.load(1)
		s.settle(p)
		s.expect()
		if n := sum(p).Rejected; n != 1 {
			t.Errorf("%d records rejected, want 1", n)
		}
		if n := p.totals.Snapshot().Quarantined; n != 1 {
			t.Errorf("%d changes quarantined, want 1", n)
		}
	})
}

// confused fails on lines that contain "poison" as no operator should.
type confused struct{}

func (confused) Apply(ctx context.Context, in []stream.Value) ([]stream.Value, error) {
	for _, v := range in {
		if strings.Contains(v.Str(), "poison") {
			return nil, fmt.Errorf("index out of range")
		}
	}
	return shouter{}.Apply(ctx, in)
}

// TestUnclassifiedErrorOfAnOperator stops the partition too.
func TestUnclassifiedErrorOfAnOperator(t *testing.T) {
	play(t, func(s *scene) {
		p := s.start(func(c *setup) { c.program = newLinesWith(confused{}) })
		s.load(1)
		s.settle(p)
		s.write("00.md", "poison")
		s.until("one partition stopped", func() bool { return stopped(p) == 1 })
		for round := range 4 {
			s.load(round)
		}
		s.wait(soon)
		s.end(p)
		p = s.start()
		s.settle(p)
		s.expect()
		s.consistent(p)
	})
}

// TestUsageErrorEndsTheProcess: the user must change something, so the process says it and ends, and nothing is lost.
func TestUsageErrorEndsTheProcess(t *testing.T) {
	play(t, func(s *scene) {
		p := s.start(func(c *setup) {
			c.decoder = strict{schemas.NewFiles("page"), "poison", stream.Usage}
			c.deliver = false
		})
		s.write("00.md", "poison")
		p.halts(stream.Usage, "the registry is confused")
		p = s.start()
		s.settle(p)
		s.expect()
	})
}

// TestSourceLostRecords: the next offset is no longer in the source; nothing is skipped without a word.
func TestSourceLostRecords(t *testing.T) {
	play(t, func(s *scene) {
		s.filled()
		for i, path := range paths(9) {
			s.write(path, fmt.Sprint("unseen ", i))
		}
		s.truncate(s.source.Topic)
		p := s.start(onlyProcessor)
		s.until("all stopped", func() bool { return stopped(p) == partitions })
		for _, part := range p.proc.Status() {
			if !strings.Contains(part.Error, "freshet reset") {
				t.Errorf("partition %d says %q", part.Partition, part.Error)
			}
		}
	})
}

// TestPollingPausesWhileMuchIsPending, and goes on when it is done.
func TestPollingPausesWhileMuchIsPending(t *testing.T) {
	play(t, func(s *scene) {
		letGo := make(chan struct{})
		p := s.start(func(c *setup) {
			c.program = newLinesWith(slow{letGo})
			c.processor.PendingBytes, c.processor.MaxPoll, c.processor.Budget = 10_000, 4, 10*time.Millisecond
		})
		for i := range 100 {
			s.write(fmt.Sprintf("%02d.md", i), fmt.Sprintf("slow %d %s", i, strings.Repeat("x", 1000)))
		}
		s.wait(soon)
		pending := sum(p).Pending
		if pending == 0 || pending > 20 {
			t.Errorf("%d documents of 1 KB are pending, the bound is 10 KB", pending)
		}
		ticks := p.proc.Metrics.Ticks.Load()
		s.wait(10 * time.Second)
		if n := p.proc.Metrics.Ticks.Load() - ticks; n == 0 || n > 100 {
			t.Errorf("the loop turned %d times in 10 s", n)
		}
		close(letGo)
		s.settle(p)
		s.expect()
		s.consistent(p)
	})
}

// TestHopelessFlowEnds: when each of the first documents fails alike, the flow is wrong, not they.
func TestHopelessFlowEnds(t *testing.T) {
	play(t, func(s *scene) {
		p := s.start(onlyProcessor)
		for i := range 150 {
			s.publish(fileRecord(fmt.Sprint(i), fmt.Sprint("bad ", i)))
		}
		p.halts(stream.Usage, "failed alike", "correct the flow")
	})
}

// TestLiveChangesGoBeforeABacklog: while the results of a backlog don't come, a change is evaluated and its rows are committed.
func TestLiveChangesGoBeforeABacklog(t *testing.T) {
	play(t, func(s *scene) {
		p := s.start()
		for i := range 40 {
			s.write(fmt.Sprintf("old-%d.md", i), fmt.Sprintf("slow %d", i))
		}
		s.settle(p)
		p.stop()
		letGo := make(chan struct{})
		p = s.start(func(c *setup) {
			c.program = newLinesWith(slow{letGo})
			c.program.logic = "lines2"
			c.program.shout.Memo = stream.FingerprintBytes([]byte("shout2"))
		})
		s.until("the backlog is under way", func() bool { return sum(p).Pending == 40 })
		s.write("new.md", "quick")
		s.until("the new row is there", func() bool { return p.totals.Snapshot().Tables["lines"].Upserts == 1 })
		if n := p.totals.Snapshot().Evaluated; n != 1 {
			t.Errorf("%d documents are evaluated, want the new one alone", n)
		}
		close(letGo)
		s.settle(p)
		s.expect()
		if n := p.totals.Snapshot().Evaluated; n != 41 {
			t.Errorf("%d documents are evaluated, want 41", n)
		}
	})
}

// TestAnotherProgramReevaluates every document from its stored input, and computes only what changed.
func TestAnotherProgramReevaluates(t *testing.T) {
	play(t, func(s *scene) {
		s.filled()
		p := s.start(func(c *setup) {
			c.program = newLines()
			c.program.logic = "lines2"
			c.program.shout.Memo = stream.FingerprintBytes([]byte("shout2"))
		})
		s.settle(p)
		s.expect()
		c := p.totals.Snapshot()
		if c.Evaluated != int64(len(s.files)) || c.Nodes["shout"] == (engine.NodeCount{}) || c.Tables["lines"] != (engine.TableCount{}) {
			t.Errorf("counted %+v, want %d documents evaluated and no row", c, len(s.files))
		}
		if got := p.restored(); got.records > 0 {
			t.Errorf("restored %+v", got)
		}
	})
}
