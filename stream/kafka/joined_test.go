package kafka_test

import (
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-dev/freshet/schemas"
	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/kafka"
)

// TestSourceComesBack: a source that leaves is taken in no more, and from its start when it comes back; the others go on where they are. While
// a replica reads it that has not noticed that it left, it can't be told yet.
func TestSourceComesBack(t *testing.T) {
	play(t, func(plain *scene) {
		s := withIntake(plain)
		both := s.source
		in := s.take("0")
		s.burst(0)
		s.taken()
		without := both
		without.From = []kafka.Source{both.From[0]}
		s.source = without
		s.ensure()
		s.source = both
		if _, err := s.cluster.EnsureTopics(s.Context(), "lines", both); stream.KindOf(err) != stream.Transient {
			t.Errorf("while a replica reads it: %v", err)
		}
		if err := in.stop(); err != nil {
			t.Fatal(err)
		}

		in = s.take("1", func(c *kafka.IntakeConfig) { delete(c.Sources, sourceTopic("page")) })
		s.burst(1)
		s.eventually("the source that stays is taken in", func() bool { return s.takenOf("note") == 16 })
		if n := s.takenOf("page"); n != 8 {
			t.Errorf("%d records of the source that left are taken in, want 8", n)
		}
		if err := in.stop(); err != nil {
			t.Fatal(err)
		}

		s.ensure()
		s.ensure() // as another replica does
		in = s.take("2")
		s.taken()
		s.ensure()
		if err := in.stop(); err != nil {
			t.Fatal(err)
		}
		if note, page := s.takenOf("note"), s.takenOf("page"); note != 16 || page != 24 {
			t.Errorf("taken in: %d records of the source that stayed, want 16; %d of the one that came back, want 24", note, page)
		}
		s.take("3")
		s.burst(2)
		s.taken()
		if note, page := s.takenOf("note"), s.takenOf("page"); note != 24 || page != 32 {
			t.Errorf("after that: %d and %d records, want 24 and 32", note, page)
		}
	})
}

// takenOf counts the records of a source that lie on the intake topic.
func (s *intakeScene) takenOf(source string) (n int) {
	s.Helper()
	for _, r := range s.records(kafka.IntakeTopic("lines"), kgo.ReadCommitted()) {
		in, err := schemas.DecodeIntake(streamRecord(r))
		if err != nil {
			s.Fatal(err)
		}
		if in.Source == source {
			n++
		}
	}
	return n
}

// TestAbsentSources: what others write has to be there; what Freshet itself writes is made.
func TestAbsentSources(t *testing.T) {
	play(t, func(s *scene) {
		s.ensure()
		of := kafka.Source{Topic: kafka.IntakeTopic("lines"), Ours: true, From: []kafka.Source{{Topic: "lines.files.page"}, {Topic: "shop.orders"}, {Topic: "lines.files.more", Ours: true}}}
		if got, err := s.cluster.Absent(s.Context(), of); err != nil || !slices.Equal(got, []string{"shop.orders"}) {
			t.Errorf("absent: %q, %v", got, err)
		}
	})
}
