package kafka_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-dev/freshet/schemas"
	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/kafka"
)

// admin returns a client for administration.
func (s *scene) admin() *kadm.Client { return kadm.NewClient(s.client()) }

// filled runs a process over some files and stops it cleanly.
func (s *scene) filled() {
	s.Helper()
	for i, path := range paths(9) {
		s.write(path, fmt.Sprintf("line\nof %d", i))
	}
	p := s.start()
	s.settle(p)
	if err := p.stop(); err != nil {
		s.Fatal(err)
	}
}

// committedOffsets returns what the processors' group has committed on the source.
func (s *scene) committedOffsets() map[int32]kadm.Offset {
	s.Helper()
	fetched, err := s.admin().FetchOffsets(s.Context(), kafka.ProcessorGroup("lines"))
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		s.Fatal(err)
	}
	out := map[int32]kadm.Offset{}
	fetched.Each(func(o kadm.OffsetResponse) {
		if o.Topic == s.source.Topic && o.At >= 0 {
			out[o.Partition] = o.Offset
		}
	})
	return out
}

// moveOffsets commits the processors' offsets anew, changed, as someone from outside would.
func (s *scene) moveOffsets(change func(*kadm.Offset)) {
	s.Helper()
	var offsets kadm.Offsets
	for _, o := range s.committedOffsets() {
		change(&o)
		offsets.Add(o)
	}
	if err := s.admin().CommitAllOffsets(s.Context(), kafka.ProcessorGroup("lines"), offsets); err != nil {
		s.Fatal(err)
	}
}

func (s *scene) deleteOffsets() {
	s.Helper()
	if _, err := s.admin().DeleteGroup(s.Context(), kafka.ProcessorGroup("lines")); err != nil {
		s.Fatal(err)
	}
}

// restored is what a restart read of the changelog.
type restored struct{ fetches, records int64 }

func (p *process) restored() restored {
	return restored{p.proc.Metrics.RestoreFetches.Load(), p.proc.Metrics.RestoredRecords.Load()}
}

// restarted starts a process after something was done to a flow that had been filled, lets it work, and compares.
func (s *scene) restarted(change ...func(*setup)) *process {
	s.Helper()
	p := s.start(change...)
	s.write("00.md", "line\nchanged")
	s.remove("01.md")
	s.settle(p)
	s.expect()
	return p
}

// entries counts the changelog's records other than progress.
func (s *scene) entries() (n int64) {
	s.Helper()
	for _, r := range s.records("lines.changelog", kgo.ReadCommitted()) {
		if string(r.Key) != schemas.ProgressKey {
			n++
		}
	}
	return n
}

// records reads a whole topic.
func (s *scene) records(topic string, level kgo.IsolationLevel) (out []*kgo.Record) {
	s.Helper()
	ends, err := s.admin().ListEndOffsets(s.Context(), topic)
	if err != nil {
		s.Fatal(err)
	}
	left := map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			left[o.Partition] = o.Offset
		}
	})
	cl := s.client(kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(level), kgo.KeepControlRecords(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	for len(left) > 0 {
		cl.PollFetches(s.Context()).EachRecord(func(r *kgo.Record) {
			if !r.Attrs.IsControl() {
				out = append(out, r)
			}
			if r.Offset >= left[r.Partition]-1 {
				delete(left, r.Partition)
			}
		})
	}
	return out
}

func TestRestoreReadsNothingAfterACleanStop(t *testing.T) {
	play(t, func(s *scene) {
		s.filled()
		p := s.restarted()
		if got := p.restored(); got != (restored{}) {
			t.Errorf("read of the changelog: %+v, want nothing", got)
		}
	})
}

func TestRestoreReadsOnlyWhatWasNotApplied(t *testing.T) {
	play(t, func(s *scene) {
		s.filled()
		behind, before := s.stores.clone(), s.entries()
		p := s.start()
		s.write("00.md", "line\nsecond")
		s.remove("05.md")
		s.settle(p)
		if err := p.stop(); err != nil {
			t.Fatal(err)
		}
		missed := s.entries() - before
		s.stores = behind
		p = s.restarted()
		if got := p.restored(); got.records != missed || got.fetches == 0 {
			t.Errorf("read of the changelog: %+v, want %d records", got, missed)
		}
		if len(behind.wiped) > 0 {
			t.Errorf("partitions %v were wiped", behind.wiped)
		}
	})
}

// TestRestoreAlwaysWorks does something to the local state or to the offsets that a restore must heal by itself.
func TestRestoreAlwaysWorks(t *testing.T) {
	everything := func(s *scene, p *process, entries int64) {
		if got := p.restored().records; got != entries {
			s.Errorf("%d records restored, want all %d", got, entries)
		}
		if len(s.stores.wiped) == 0 {
			s.Error("no store was wiped")
		}
	}
	nothing := func(s *scene, p *process, _ int64) {
		// Without metadata the log is read to its end: the marker of the last transaction, no entry.
		if got := p.restored(); got.records > 0 || len(s.stores.wiped) > 0 {
			s.Errorf("read %+v, wiped %v, want nothing", got, s.stores.wiped)
		}
	}
	for name, c := range map[string]struct {
		harm  func(s *scene)
		check func(s *scene, p *process, entries int64)
	}{
		"offset metadata missing (F27)": {func(s *scene) { s.moveOffsets(func(o *kadm.Offset) { o.Metadata = "" }) }, nothing},
		"offset metadata garbage (F27)": {func(s *scene) { s.moveOffsets(func(o *kadm.Offset) { o.Metadata = "hello|1|2" }) }, nothing},
		"offsets gone":                  {func(s *scene) { s.deleteOffsets() }, nothing},
		"another changelog": {func(s *scene) {
			s.stores.mark(func(c *stream.Checkpoint) { c.TopicID = "other" })
		}, everything},
		"unknown format": {func(s *scene) {
			s.stores.mark(func(c *stream.Checkpoint) { c.Format = 99 })
		}, everything},
		"ahead of what is committed": {func(s *scene) {
			s.stores.mark(func(c *stream.Checkpoint) { c.Applied += 1000 })
		}, everything},
		"ahead of the log, offsets gone": {func(s *scene) {
			s.stores.mark(func(c *stream.Checkpoint) { c.Applied += 1000 })
			s.deleteOffsets()
		}, everything},
		"a write before the first checkpoint was cut short": {func(s *scene) {
			s.stores.lose()
			s.stores.interrupt = func(piece int) error {
				if piece == 1 {
					return errors.New("power is gone")
				}
				return nil
			}
			p := s.start(func(c *setup) { c.deliver = false })
			<-p.ended
			_ = p.stop() // it says that power is gone
			s.stores.interrupt = nil
		}, everything},
		"disk lost, metadata garbage": {func(s *scene) {
			s.stores.lose()
			s.moveOffsets(func(o *kadm.Offset) { o.Metadata = "?" })
		}, func(s *scene, p *process, entries int64) {
			if got := p.restored().records; got != entries {
				s.Errorf("%d records restored, want all %d", got, entries)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, func(s *scene) {
				s.filled()
				entries := s.entries()
				c.harm(s)
				c.check(s, s.restarted(), entries)
			})
		})
	}
}

// recreate deletes a topic and creates it anew, as someone from outside would, and lets the processes know its new ID.
func (s *scene) recreate(topic string, partitions int32) {
	s.Helper()
	s.drop(topic)
	created, err := s.admin().CreateTopic(s.Context(), partitions, 1, nil, topic)
	if err != nil {
		s.Fatal(err)
	}
	switch topic {
	case "lines.changelog":
		s.topics.ChangelogID = created.ID.String()
	case "lines.rows":
		s.topics.RowsID = created.ID.String()
	}
}

// drop deletes a topic.
func (s *scene) drop(topic string) {
	s.Helper()
	if _, err := s.admin().DeleteTopic(s.Context(), topic); err != nil {
		s.Fatal(err)
	}
}

// behead deletes all records of a topic but the last transaction's progress and marker.
func (s *scene) behead(topic string) { s.deleteUpTo(topic, -2) }

// truncate deletes all records of a topic.
func (s *scene) truncate(topic string) { s.deleteUpTo(topic, 0) }

// deleteUpTo deletes the records of a topic before its end and so much.
func (s *scene) deleteUpTo(topic string, more int64) {
	s.Helper()
	ends, err := s.admin().ListEndOffsets(s.Context(), topic)
	if err != nil {
		s.Fatal(err)
	}
	offsets := ends.Offsets()
	for _, parts := range offsets {
		for p, o := range parts {
			o.At += more
			parts[p] = o
		}
	}
	deleted, err := s.admin().DeleteRecords(s.Context(), offsets)
	if err == nil {
		err = deleted.Error()
	}
	if err != nil {
		s.Fatal(err)
	}
}

// TestRestoreOfOldState: what slept longer than half of the delete retention may have missed deletes, unless it missed
// nothing at all.
func TestRestoreOfOldState(t *testing.T) {
	for name, behind := range map[string]bool{"behind": true, "not behind": false} {
		t.Run(name, func(t *testing.T) {
			play(t, func(s *scene) {
				s.cluster.Embedded = false
				s.filled()
				stores := s.stores.clone()
				if behind {
					for i, path := range paths(9) {
						s.write(path, fmt.Sprint("changed ", i))
					}
					p := s.start()
					s.settle(p)
					if err := p.stop(); err != nil {
						t.Fatal(err)
					}
				}
				s.stores = stores
				s.wait(s.topics.Retention.Delete/2 + time.Minute)
				s.restarted()
				if got := len(stores.wiped) > 0; got != behind {
					t.Errorf("wiped %v, want %t", stores.wiped, behind)
				}
			})
		})
	}
}

// TestRestoreWaitsForAnOpenTransaction: without metadata, the log is read to its high watermark, not to the stable end
// that an open transaction holds back.
func TestRestoreWaitsForAnOpenTransaction(t *testing.T) {
	play(t, func(s *scene) {
		s.filled()
		s.stores.lose()
		s.moveOffsets(func(o *kadm.Offset) { o.Metadata = "" })
		zombie := s.client(kgo.TransactionalID("lines.zombie"), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.TransactionTimeout(time.Minute))
		if err := zombie.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		for p := range int32(partitions) {
			r := &kgo.Record{Topic: "lines.changelog", Partition: p, Key: []byte("hx"), Value: []byte("never committed")}
			if err := zombie.ProduceSync(s.Context(), r).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		p := s.start()
		s.wait(soon)
		for _, part := range p.proc.Status() {
			if part.State != "restoring" {
				t.Errorf("partition %d is %s while a transaction is open before the end of its changelog", part.Partition, part.State)
			}
		}
		if err := zombie.EndTransaction(s.Context(), kgo.TryAbort); err != nil {
			t.Fatal(err)
		}
		s.settle(p)
		s.expect()
	})
}

// TestRestoreInterrupted ends a restore at every piece that it writes; the next start goes on from there.
func TestRestoreInterrupted(t *testing.T) {
	play(t, func(s *scene) {
		s.filled()
		s.stores.lose()
		for piece := range 8 {
			s.stores.interrupt = func(n int) error {
				if n == piece {
					return fmt.Errorf("power is gone at piece %d", piece)
				}
				return nil
			}
			p := s.start(func(c *setup) { c.deliver = false })
			select {
			case <-p.ended:
			case <-time.After(soon):
			}
			if err := p.stop(); err != nil && !strings.Contains(err.Error(), "power is gone") {
				t.Fatal(err)
			}
		}
		s.stores.interrupt = nil
		s.restarted()
	})
}
