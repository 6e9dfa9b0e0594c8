package kafka

import (
	"cmp"
	"context"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-dev/freshet/stream"
)

// Publisher writes records to a source topic, each document in the partition that its ID hashes to.
type Publisher struct {
	cl    *kgo.Client
	topic string
}

// OpenPublisher returns a publisher to topic. Close it.
func (c Cluster) OpenPublisher(topic string) (*Publisher, error) {
	cl, err := c.client(kgo.ProducerBatchMaxBytes(MaxMessageBytes-16<<10), kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)),
		kgo.ProducerBatchCompression(kgo.SnappyCompression(), kgo.NoCompression()), kgo.ProducerLinger(0))
	if err != nil {
		return nil, err
	}
	return &Publisher{cl: cl, topic: topic}, nil
}

// Publish writes the records in order and returns when all are durable. What the broker refuses for good has kind
// Invalid; anything else is Transient and may be repeated. When ctx ends first, it is unknown which were written: the
// client itself waits without end for the answer to what it has sent, since a broker that is away may have taken it.
func (p *Publisher) Publish(ctx context.Context, records []stream.Record) error {
	answers := make(chan error, len(records))
	for i := range records {
		p.cl.Produce(ctx, toKafka(p.topic, 0, &records[i]), func(_ *kgo.Record, err error) { answers <- err })
	}
	var first error
	for range records {
		select {
		case err := <-answers:
			first = cmp.Or(first, err)
		case <-ctx.Done():
			return &stream.Error{Op: "write to topic " + p.topic, Kind: stream.Transient, Err: ctx.Err()}
		}
	}
	if first != nil {
		return &stream.Error{Op: "write to topic " + p.topic, Kind: stream.Transient, Err: first}
	}
	return nil
}

// Close ends the publisher's connections.
func (p *Publisher) Close() { p.cl.Close() }

// Keys visits the keys of a topic's committed records, in order of the log: live is false for a tombstone. A key that
// was written several times comes several times; the last one counts.
func (c Cluster) Keys(ctx context.Context, topic string, each func(key string, live bool)) error {
	return c.scan(ctx, topic, func(r *kgo.Record) error {
		each(string(r.Key), r.Value != nil)
		return nil
	})
}
