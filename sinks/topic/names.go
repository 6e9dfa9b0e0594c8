package topic

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/freshet-dev/freshet/stream"
)

// maxName is Kafka's limit on the name of a topic.
const maxName = 249

// reserved begins the names of topics for bookkeeping.
const reserved = "freshet."

// names are those of the topics for bookkeeping.
type names struct{ register, places, stage string }

func namesOf(prefix, flow, target string) names {
	of := "." + escaped(flow) + "." + escaped(target)
	return names{register: prefix + reserved + "targets", places: prefix + reserved + "places" + of, stage: prefix + reserved + "stage" + of}
}

// topicOf is the name of a table's topic. Two tables that come to the same are refused by who asks.
func topicOf(prefix, name string) (string, error) {
	topic := prefix + escaped(name)
	if topic == "." || topic == ".." || topic == "" || len(topic) > maxName || topic != escaped(topic) {
		return "", fmt.Errorf("%.100q can't be the name of a topic; set `table` or `prefix` to another", topic)
	}
	if strings.HasPrefix(topic, prefix+reserved) {
		return "", fmt.Errorf("topics whose names begin with %s are for bookkeeping; set `table` to another", prefix+reserved)
	}
	return topic, nil
}

// escaped writes what the name of a topic can't have as -XX, byte by byte.
func escaped(name string) string {
	var b strings.Builder
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '_', c == '-':
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "-%02X", c)
		}
	}
	return b.String()
}

// checkFlow refuses a table on one of the flow's own topics.
func (s *Sink) checkFlow() error {
	own := slices.Clone(s.reads)
	for _, name := range []string{"rows", "changelog", "meta", "intake"} {
		own = append(own, s.flow+"."+name)
	}
	for _, t := range s.tables {
		if slices.Contains(own, t.topic) {
			return s.refuse(t, "is one that the flow reads, or its own; set `table` or `prefix` to another name")
		}
	}
	for _, name := range []string{s.names.places, s.names.stage} {
		if len(name) > maxName {
			return stream.Errorf(stream.Usage, s.op("open"), "%.100s... is too long for the name of a topic; choose a shorter `prefix`", name)
		}
	}
	return nil
}

// transactionalID is the fence of a partition. The in-process broker can't show later commits of an ID that left a
// transaction open; it has one process, so there each start has IDs of its own.
func (s *Sink) transactionalID(partition int32) string {
	return s.names.places + "." + strconv.Itoa(int(partition)) + s.salt
}
