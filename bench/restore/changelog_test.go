//go:build bench

package restore

import (
	"crypto/rand"
	"log/slog"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-dev/freshet/internal/testenv"
	"github.com/freshet-dev/freshet/schemas"
	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/engine"
	"github.com/freshet-dev/freshet/stream/kafka"
)

const taskVariable = "FRESHET_BENCH_RESTORE"

// changelog is a flow whose state lies on a broker and nowhere else; it is what a measuring process is told.
type changelog struct {
	Task    string
	Dir     string
	Broker  string
	Flow    string
	Topics  kafka.Topics
	Entries int64
}

// result is what a measuring process prints.
type result struct {
	Seconds float64
	Records int64
	Bytes   int64
	Peak    int64   // resident memory, what is mapped of files included
	CPU     float64 // seconds
}

func source(flow string, partitions int32) kafka.Source {
	return kafka.Source{Topic: flow + ".files.page", Ours: true, Planned: partitions}
}

func cluster(broker string) kafka.Cluster {
	return kafka.Cluster{Brokers: []string{broker}, Log: slog.New(slog.DiscardHandler)}
}

// fill writes a changelog as processors would have: entries of so many bytes, a progress record after every few thousand,
// and the committed offsets that name the last.
func fill(t *testing.T, partitions int32, entries int, size int) changelog {
	t.Helper()
	broker := testenv.SharedKafka(t)
	c := changelog{Broker: broker.Addr(), Flow: testenv.Name(t), Entries: int64(entries)}
	var err error
	if c.Topics, err = cluster(c.Broker).EnsureTopics(t.Context(), c.Flow, source(c.Flow, partitions)); err != nil {
		t.Fatal(err)
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.Broker), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.DisableClientMetrics(),
		kgo.ProducerBatchMaxBytes(4<<20), kgo.MaxBufferedRecords(20_000), kgo.ProducerBatchCompression(kgo.SnappyCompression()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	for p := range partitions {
		c.write(t, cl, p, entries/int(partitions), size)
	}
	return c
}

func (c changelog) write(t *testing.T, cl *kgo.Client, partition int32, n, size int) {
	t.Helper()
	failed := make(chan error, 1)
	put := func(key, value []byte) {
		cl.Produce(t.Context(), &kgo.Record{Topic: c.Flow + ".changelog", Partition: partition, Key: key, Value: value}, func(_ *kgo.Record, err error) {
			if err != nil {
				select {
				case failed <- err:
				default:
				}
			}
		})
	}
	for i := range n {
		b := make([]byte, 17+size)
		_, _ = rand.Read(b) // never fails
		b[0] = 'm'
		put(b[:17:17], b[17:])
		if i%5000 == 4999 {
			r := c.progress(t)
			put(r.Key, r.Value)
		}
	}
	if err := cl.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-failed:
		t.Fatal(err)
	default:
	}
	// As the engine writes them with every transaction: a state without is counted when it is opened.
	stats, err := stream.Marshal(engine.Stats{Contents: &engine.Contents{}})
	if err != nil {
		t.Fatal(err)
	}
	counted := &kgo.Record{Topic: c.Flow + ".changelog", Partition: partition, Key: []byte{'s'}, Value: stats}
	if err := cl.ProduceSync(t.Context(), counted).FirstErr(); err != nil {
		t.Fatal(err)
	}
	r := c.progress(t)
	last := &kgo.Record{Topic: c.Flow + ".changelog", Partition: partition, Key: r.Key, Value: r.Value}
	if err := cl.ProduceSync(t.Context(), last).FirstErr(); err != nil {
		t.Fatal(err)
	}
	c.commit(t, cl, partition, last.Offset)
}

func (c changelog) progress(t *testing.T) stream.Record {
	t.Helper()
	r, err := schemas.EncodeProgress(schemas.Progress{Generation: c.Topics.Generation.Generation, Revision: program{}.Logic(),
		Input: map[string]int64{c.Topics.Source: 0}})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (c changelog) commit(t *testing.T, cl *kgo.Client, partition int32, progress int64) {
	t.Helper()
	meta, err := schemas.EncodeCommit(schemas.CommitMeta{TopicID: c.Topics.ChangelogID, Progress: progress,
		Generation: c.Topics.Generation.Generation, Revision: program{}.Logic()})
	if err != nil {
		t.Fatal(err)
	}
	var offsets kadm.Offsets
	offsets.Add(kadm.Offset{Topic: c.Topics.Source, Partition: partition, At: 0, LeaderEpoch: -1, Metadata: meta})
	if err := kadm.NewClient(cl).CommitAllOffsets(t.Context(), kafka.ProcessorGroup(c.Flow), offsets); err != nil {
		t.Fatal(err)
	}
}
