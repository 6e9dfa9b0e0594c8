package kafka_test

import (
	"testing"

	"github.com/freshet-dev/freshet/stream"
)

// TestLastRow: the last record of a row is found, and the one before it, by the partition that has it or without.
func TestLastRow(t *testing.T) {
	play(t, func(s *scene) {
		s.filled()
		p := s.start()
		path := paths(9)[3]
		s.remove(path)
		s.settle(p)
		s.write(path, "line\nof 3")
		s.settle(p)
		table := newLines().Tables()[0]
		id := stream.RowID{Table: table.Name, Document: "page/" + path, Key: "line"}
		last, before, err := s.cluster.LastRow(s.Context(), s.topics, table, id, -1)
		if err != nil || last == nil || before == nil {
			s.Fatalf("%v, %v, %v", last, before, err)
		}
		if last.Delete || !before.Delete || last.Version.Offset <= before.Version.Offset || last.Partition != before.Partition {
			s.Errorf("got %+v after %+v", last, before)
		}
		for partition := range int32(partitions) {
			there, _, err := s.cluster.LastRow(s.Context(), s.topics, table, id, partition)
			if err != nil || (there != nil) != (partition == last.Partition) {
				s.Errorf("partition %d: %v, %v", partition, there, err)
			}
		}
	})
}
