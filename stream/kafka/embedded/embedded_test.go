package embedded_test

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/kafka/embedded"
)

// TestDataStays: what was acknowledged is there after the broker was closed and started again on its directory.
func TestDataStays(t *testing.T) {
	dir := t.TempDir()
	for n := range 3 {
		b, err := embedded.Start(embedded.Options{Dir: dir, Sync: true})
		if err != nil {
			t.Fatal(err)
		}
		cl, err := kgo.NewClient(kgo.SeedBrokers(b.Addresses()...), kgo.DefaultProduceTopic("t"),
			kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{"t": {0: kgo.NewOffset().AtStart()}}))
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			if _, err := cl.Request(t.Context(), createTopic("t")); err != nil {
				t.Fatal(err)
			}
		}
		if err := cl.ProduceSync(t.Context(), kgo.StringRecord("x")).FirstErr(); err != nil {
			t.Fatal(err)
		}
		seen := 0
		for seen <= n {
			seen += cl.PollFetches(t.Context()).NumRecords()
		}
		if seen != n+1 {
			t.Errorf("start %d: %d records, want %d", n, seen, n+1)
		}
		cl.Close()
		b.Close()
	}
}

func createTopic(name string) kmsg.Request {
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, 1, 1
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Topics = append(req.Topics, topic)
	return req
}

func TestStartRefusesAFile(t *testing.T) {
	_, err := embedded.Start(embedded.Options{Dir: "/dev/null/broker"})
	if stream.KindOf(err) != stream.Usage {
		t.Errorf("kind %v: %v", stream.KindOf(err), err)
	}
}
