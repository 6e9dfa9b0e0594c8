package topic_test

import (
	"bytes"
	"context"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-dev/freshet/internal/testenv"
	"github.com/freshet-dev/freshet/sinks/sinktest"
	"github.com/freshet-dev/freshet/sinks/topic"
	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/kafka/embedded"
)

func TestMain(m *testing.M) {
	// Each random history adds a partition to every topic, and reads all of them after every step.
	if err := flag.Set("rapid.checks", "30"); err != nil {
		panic(err)
	}
	flag.Parse()
	os.Exit(testenv.Main(m))
}

func TestContract(t *testing.T) {
	onBoth(t, func(t *testing.T, addr string) {
		sinktest.Run(t, func(t *testing.T) sinktest.Harness { return newSpot(t, addr, "json").harness() })
	})
}

// onBoth runs a test on Kafka and on the broker of `freshet dev`.
func onBoth(t *testing.T, test func(t *testing.T, addr string)) {
	t.Run("kafka", func(t *testing.T) { test(t, testenv.SharedKafka(t).Addr()) })
	t.Run("in process", func(t *testing.T) { test(t, inProcess(t)) })
}

func inProcess(t testing.TB) string {
	t.Helper()
	broker, err := embedded.Start(t.Context(), embedded.Options{})
	must(t, err)
	t.Cleanup(broker.Close)
	return broker.Addresses()[0]
}

// spot is a prefix of its own for a test, on a broker that it may share with others.
type spot struct {
	addr, prefix, format string
	cl                   *kgo.Client
	adm                  *kadm.Client
}

func newSpot(t testing.TB, addr, format string) spot {
	t.Helper()
	s := spot{addr: addr, prefix: testenv.Name(t) + ".", format: format}
	s.cl = s.client(t, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	s.adm = kadm.NewClient(s.cl)
	t.Cleanup(func() { s.clear(t) })
	return s
}

func (s spot) client(t testing.TB, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append(opts, kgo.SeedBrokers(s.addr), kgo.DisableClientMetrics())...)
	must(t, err)
	t.Cleanup(cl.Close)
	return cl
}

// clear deletes the topics of the spot.
func (s spot) clear(t testing.TB) {
	ctx := context.WithoutCancel(t.Context())
	topics, err := s.adm.ListTopics(ctx)
	must(t, err)
	var mine []string
	for _, name := range topics.Names() {
		if strings.HasPrefix(name, s.prefix) {
			mine = append(mine, name)
		}
	}
	if len(mine) > 0 {
		_, err = s.adm.DeleteTopics(ctx, mine...)
		must(t, err)
	}
}

func (s spot) sink(tables ...stream.TargetTable) (stream.Sink, error) {
	settings := stream.MapOf(
		stream.Entry{Key: "format", Value: stream.StringOf(s.format)},
		stream.Entry{Key: "prefix", Value: stream.StringOf(s.prefix)})
	return topic.Spec().New(stream.SinkConfig{Settings: stream.Settings{Values: settings}, Tables: tables,
		Cluster: stream.FlowCluster{Brokers: []string{s.addr}, Partitions: 1}})
}

func (s spot) harness() sinktest.Harness {
	return sinktest.Harness{
		New:         func(tables []stream.TargetTable) (stream.Sink, error) { return s.sink(tables...) },
		MakeForeign: func(t *testing.T, table string) { s.makeForeign(t, table) },
		Alter:       func(t *testing.T, table string) { s.alter(t, table, "delete") },
		Drop: func(t *testing.T, table string) {
			_, err := s.adm.DeleteTopic(t.Context(), s.prefix+table)
			must(t, err)
			s.until(t, func() bool {
				found, err := s.adm.ListTopics(t.Context(), s.prefix+table)
				return err == nil && found[s.prefix+table].Err != nil
			})
		},
		Edit: func(t *testing.T, row stream.RowID, column, text string) { s.edit(t, row, text) },
		Is:   sinktest.Guarantees{Guarantees: topic.Spec().Guarantees},
	}
}

// makeForeign makes a compacted topic with a record of a stranger's.
func (s spot) makeForeign(t testing.TB, table string) {
	t.Helper()
	_, err := s.adm.CreateTopic(t.Context(), 1, 1, map[string]*string{"cleanup.policy": kadm.StringPtr("compact")}, s.prefix+table)
	must(t, err)
	must(t, s.cl.ProduceSync(t.Context(), &kgo.Record{Topic: s.prefix + table, Key: []byte("mine"), Value: []byte("x")}).FirstErr())
}

// alter sets a topic's cleanup.policy.
func (s spot) alter(t testing.TB, table, policy string) {
	t.Helper()
	name := s.prefix + table
	_, err := s.adm.AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Name: "cleanup.policy", Value: &policy}}, name)
	must(t, err)
	s.until(t, func() bool {
		found, err := s.adm.DescribeTopicConfigs(t.Context(), name)
		must(t, err)
		for _, kv := range found[0].Configs {
			if kv.Key == "cleanup.policy" {
				return *kv.Value == policy
			}
		}
		return false
	})
}

// until waits for a condition, with a request to the broker in between.
func (s spot) until(t testing.TB, holds func() bool) {
	t.Helper()
	for !holds() {
		must(t, t.Context().Err())
	}
}

// edit writes a row's last record again, with another text in place of the value's last string.
func (s spot) edit(t testing.TB, row stream.RowID, text string) {
	t.Helper()
	var last *kgo.Record
	key, err := topic.RowKey(row.Document, row.Key)
	must(t, err)
	for _, r := range s.read(t, row.Table) {
		if bytes.Equal(r.Key, key) {
			last = r
		}
	}
	if last == nil || last.Value == nil {
		t.Fatalf("row %q is not there", row)
	}
	at := bytes.LastIndex(last.Value, []byte(`:"`))
	value := append(append([]byte{}, last.Value[:at+2]...), text+`"}`...)
	edited := &kgo.Record{Topic: last.Topic, Partition: last.Partition, Key: last.Key, Value: value, Headers: last.Headers}
	cl := s.client(t, kgo.RecordPartitioner(kgo.ManualPartitioner())) // that knows the partitions of now
	defer cl.Close()
	must(t, cl.ProduceSync(t.Context(), edited).FirstErr())
}

// read returns the committed records of a table's topic, each partition in order.
func (s spot) read(t testing.TB, table string) (all []*kgo.Record) {
	t.Helper()
	name := s.prefix + table
	fresh := s.client(t) // that knows the partitions of now
	defer fresh.Close()
	ends, err := kadm.NewClient(fresh).ListCommittedOffsets(t.Context(), name)
	must(t, err)
	left := map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			left[o.Partition] = o.Offset
		}
	})
	if len(left) == 0 {
		return nil
	}
	cl := s.client(t, kgo.ConsumeTopics(name), kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(), kgo.ConsumeResetOffset(kgo.NoResetOffset()))
	defer cl.Close()
	for len(left) > 0 {
		fetches := cl.PollFetches(t.Context())
		must(t, fetches.Err0())
		fetches.EachRecord(func(r *kgo.Record) {
			if !r.Attrs.IsControl() && r.Offset < left[r.Partition] {
				all = append(all, r)
			}
			if r.Offset >= left[r.Partition]-1 {
				delete(left, r.Partition)
			}
		})
	}
	return all
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%v (kind %s)", err, stream.KindOf(err))
	}
}
