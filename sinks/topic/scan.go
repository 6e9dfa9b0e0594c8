package topic

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Which offset of a partition is asked for.
const (
	startOffset int64 = -2
	endOffset   int64 = -1
)

// offsets asks for an offset of partitions of topics; ends are stable ones, which no open transaction is below.
func offsets(ctx context.Context, cl *kgo.Client, topics map[string][]int32, which int64) (map[string]map[int32]int64, error) {
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID = -1
	req.IsolationLevel = 1
	for topic, partitions := range topics {
		t := kmsg.NewListOffsetsRequestTopic()
		t.Topic = topic
		for _, p := range partitions {
			part := kmsg.NewListOffsetsRequestTopicPartition()
			part.Partition, part.Timestamp = p, which
			t.Partitions = append(t.Partitions, part)
		}
		req.Topics = append(req.Topics, t)
	}
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return nil, fmt.Errorf("list offsets: %w", err)
	}
	out := map[string]map[int32]int64{}
	for _, t := range resp.Topics {
		out[t.Topic] = map[int32]int64{}
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return nil, fmt.Errorf("list offsets of %s/%d: %w", t.Topic, p.Partition, err)
			}
			out[t.Topic][p.Partition] = p.Offset
		}
	}
	return out, nil
}

// reach is a part of a partition: the offsets in [from, to).
type reach struct{ from, to int64 }

// extent returns what partitions of a topic hold that is decided.
func (s *Sink) extent(ctx context.Context, topic string, partitions []int32) (map[int32]reach, error) {
	cl, err := s.client()
	if err != nil || len(partitions) == 0 {
		return nil, err
	}
	of := map[string][]int32{topic: partitions}
	var start, end map[string]map[int32]int64
	err = persist(ctx, func() (err error) {
		if start, err = offsets(ctx, cl, of, startOffset); err == nil {
			end, err = offsets(ctx, cl, of, endOffset)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	out := map[int32]reach{}
	for p, to := range end[topic] {
		out[p] = reach{start[topic][p], to}
	}
	return out, nil
}

// scan reads the committed records of these parts of a topic, each partition in order.
func (s *Sink) scan(ctx context.Context, topic string, parts map[int32]reach, each func(*kgo.Record) error) error {
	from := map[int32]kgo.Offset{}
	left := maps.Clone(parts)
	for p, r := range parts {
		if r.from >= r.to {
			delete(left, p)
			continue
		}
		from[p] = kgo.NewOffset().At(r.from)
	}
	if len(left) == 0 {
		return nil
	}
	cl, err := s.newClient(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}), kgo.KeepControlRecords(),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.FetchMaxWait(100*time.Millisecond),
		kgo.FetchMaxPartitionBytes(4<<20), kgo.FetchMaxBytes(16<<20), kgo.BrokerMaxReadBytes(2*maxMessageBytes))
	if err != nil {
		return err
	}
	defer cl.Close()
	for len(left) > 0 {
		fetches := cl.PollRecords(ctx, 10_000)
		if err := failure(ctx, fetches); err != nil {
			return fmt.Errorf("read topic %s: %w", topic, err)
		}
		for iter := fetches.RecordIter(); !iter.Done(); {
			r := iter.Next()
			part, open := left[r.Partition]
			if !open {
				continue
			}
			if r.Offset < part.to && !r.Attrs.IsControl() {
				if err := each(r); err != nil {
					return err
				}
			}
			if r.Offset >= part.to-1 {
				delete(left, r.Partition)
			}
		}
	}
	return nil
}

// failure is what reading can't go on after.
func failure(ctx context.Context, fetches kgo.Fetches) (err error) {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	fetches.EachError(func(_ string, p int32, e error) {
		if answer := (*kerr.Error)(nil); errors.As(e, &answer) && !answer.Retriable || errors.Is(e, kgo.ErrClientClosed) {
			err = errors.Join(err, fmt.Errorf("partition %d: %w", p, e))
		}
	})
	return err
}

// scanAll reads all committed records of partitions of a topic.
func (s *Sink) scanAll(ctx context.Context, topic string, partitions []int32, each func(*kgo.Record) error) error {
	parts, err := s.extent(ctx, topic, partitions)
	if err != nil {
		return err
	}
	return s.scan(ctx, topic, parts, each)
}

// upTo are the numbers of n partitions.
func upTo(n int32) []int32 {
	out := make([]int32, n)
	for i := range out {
		out[i] = int32(i)
	}
	return out
}

// sortRows sorts the rows of tables in partitions, of each the last.
func (s *Sink) sortRows(ctx context.Context, tables []*table, partitions []int32, content bool) (*sorter, error) {
	found, err := s.describeAll(ctx, s.topics()...)
	if err != nil {
		return nil, err
	}
	sorted := newSorter()
	for _, t := range tables {
		d := found[t.topic]
		there := slices.DeleteFunc(slices.Clone(partitions), func(p int32) bool { return p >= d.partitions })
		err = s.scanAll(ctx, t.topic, there, func(r *kgo.Record) error { return sorted.add(entryOf(r, t.index, content)) })
		if err != nil {
			sorted.close()
			return nil, err
		}
	}
	return sorted, nil
}
