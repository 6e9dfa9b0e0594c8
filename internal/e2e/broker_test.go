package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-dev/freshet/internal/testenv"
)

// topic is one that the test itself writes, on a real broker.
type topic struct {
	t    testing.TB
	addr string
	name string
	cl   *kgo.Client
	adm  *kadm.Client
}

func newTopic(t testing.TB, broker *testenv.Broker, name string, partitions int32) *topic {
	t.Helper()
	p := openTopic(t, broker, name)
	made, err := p.adm.CreateTopics(t.Context(), partitions, 1, nil, name)
	if err != nil || made.Error() != nil {
		t.Fatal(err, made.Error())
	}
	p.appears() // a broker that is busy hears of it late
	return p
}

// openTopic is for a topic that somebody else makes.
func openTopic(t testing.TB, broker *testenv.Broker, name string) *topic {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(broker.Addr()), kgo.DefaultProduceTopic(name),
		kgo.MetadataMinAge(100*time.Millisecond), kgo.DisableClientMetrics())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return &topic{t, broker.Addr(), name, cl, kadm.NewClient(cl)}
}

// appears waits until the topic exists.
func (p *topic) appears() {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !p.exists(ctx) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			p.t.Fatalf("topic %s did not appear", p.name)
		}
	}
}

func (p *topic) exists(ctx context.Context) bool {
	ends, err := p.adm.ListEndOffsets(ctx, p.name)
	return err == nil && ends.Error() == nil
}

// produce writes records in order and returns when the broker has them.
func (p *topic) produce(records ...*kgo.Record) {
	p.t.Helper()
	if err := p.cl.ProduceSync(p.t.Context(), records...).FirstErr(); err != nil {
		p.t.Fatal(err)
	}
}

// row is a Debezium event of table rows: columns as JSON text, in order of name-value pairs.
func row(op, id string, columns string) *kgo.Record {
	value := fmt.Sprintf(`{"before":null,"after":{"id":%s,%s},"source":{"connector":"postgresql","lsn":1,"ts_ms":1700000000000},"op":%q,"ts_ms":1700000000000}`, id, columns, op)
	return &kgo.Record{Key: []byte(`{"id":` + id + `}`), Value: []byte(value)}
}

// committed reads a topic from its start to its end as a read_committed consumer does. A transaction whose end was
// promised but not yet written is waited for: the end is not the last stable offset.
func (p *topic) committed(name string) (records []*kgo.Record) {
	p.t.Helper()
	ends, err := p.adm.ListEndOffsets(p.t.Context(), name)
	if err != nil || ends.Error() != nil {
		p.t.Fatal(err, ends.Error())
	}
	from, left := map[int32]kgo.Offset{}, map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) {
		if from[o.Partition] = kgo.NewOffset().AtStart(); o.Offset > 0 {
			left[o.Partition] = o.Offset
		}
	})
	cl, err := kgo.NewClient(kgo.SeedBrokers(p.addr), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{name: from}), kgo.DisableClientMetrics())
	if err != nil {
		p.t.Fatal(err)
	}
	defer cl.Close()
	for len(left) > 0 {
		fetches := cl.PollFetches(p.t.Context())
		if err := fetches.Err(); err != nil {
			p.t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if r.Offset+1 >= left[r.Partition] {
				delete(left, r.Partition)
			}
			if !r.Attrs.IsControl() {
				records = append(records, r)
			}
		})
	}
	return records
}

// rowRecords counts the row records of a flow at the broker; its marks are none.
func (p *topic) rowRecords(flow string) (n int) {
	p.t.Helper()
	for _, r := range p.committed(flow + ".rows") {
		if !strings.HasPrefix(string(r.Key), "\x00") {
			n++
		}
	}
	return n
}
