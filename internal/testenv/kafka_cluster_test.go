package testenv_test

import (
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/freshet-dev/freshet/internal/testenv"
)

// TestKafkaClusterOutlivesOneBroker: with three copies and two in step, a record is kept and another taken while one
// broker is dead.
func TestKafkaClusterOutlivesOneBroker(t *testing.T) {
	var brokers []*testenv.Broker
	timed(t, "start", func() { brokers = testenv.KafkaCluster(t, testenv.KafkaOptions{}) })
	topic, second := testenv.Name(t), testenv.Name(t)
	produceOne(t, brokers[0], topic)
	timed(t, "kill", brokers[2].Kill)
	timed(t, "read with two", func() { wantOne(t, brokers[1], topic) })
	timed(t, "start after kill", func() { brokers[2].Start(t) })
	produceOne(t, brokers[2], second)
	brokers[0].Kill()
	wantOne(t, brokers[1], second)

	details, err := kadm.NewClient(kafkaClient(t, brokers[1])).ListTopics(within(t, time.Minute), topic)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range details[topic].Partitions {
		slices.Sort(p.Replicas)
		if !slices.Equal(p.Replicas, []int32{1, 2, 3}) {
			t.Errorf("partition %d lies on brokers %v, want 1, 2 and 3", p.Partition, p.Replicas)
		}
	}
}
