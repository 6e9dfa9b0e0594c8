package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-dev/freshet/schemas"
	"github.com/freshet-dev/freshet/stream"
)

// ensureGeneration reads the generation, writing the first one where there is none. Replicas that start together write
// the same.
func (c Cluster) ensureGeneration(ctx context.Context, flow string) (schemas.Generation, error) {
	m, err := c.meta(ctx, flow)
	if err != nil || m.Generation != nil {
		return value(m.Generation), err
	}
	g := schemas.Generation{Generation: 1, Created: time.Now().UnixNano()}
	return g, c.writeGeneration(ctx, flow, g)
}

func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// meta reads what the meta topic says of now.
func (c Cluster) meta(ctx context.Context, flow string) (all schemas.Meta, err error) {
	err = c.scan(ctx, metaTopic(flow), func(r *kgo.Record) error {
		m, err := schemas.DecodeMeta(fromKafka(r))
		if m.Generation != nil {
			all.Generation = m.Generation
		}
		if m.Declaration != nil {
			all.Declaration = m.Declaration
		}
		if m.Topics != nil {
			all.Topics = m.Topics
		}
		if m.Backfill != nil {
			all.Backfill = m.Backfill
		}
		return err
	})
	return all, err
}

func (c Cluster) writeGeneration(ctx context.Context, flow string, g schemas.Generation) error {
	r, err := schemas.EncodeGeneration(g)
	if err != nil {
		return err
	}
	return c.writeMeta(ctx, flow, r)
}

// writeMeta writes records, in order.
func (c Cluster) writeMeta(ctx context.Context, flow string, all ...stream.Record) error {
	p, err := c.OpenPublisher(metaTopic(flow))
	if err != nil {
		return err
	}
	defer p.Close()
	return p.Publish(ctx, all)
}

// scan reads a topic from its start to its end as of now, committed records only.
func (c Cluster) scan(ctx context.Context, topic string, each func(*kgo.Record) error) error {
	_, err := c.scanFrom(ctx, topic, nil, each)
	return err
}

// scanFrom reads a topic as scan does, from given offsets on (nil: the start), and returns the ends that it read up to.
func (c Cluster) scanFrom(ctx context.Context, topic string, from Ends, each func(*kgo.Record) error) (read Ends, err error) {
	var left Ends
	offsets := map[int32]kgo.Offset{}
	err = c.admin(func(adm *kadm.Client) error {
		start, err := ends(adm.ListStartOffsets(ctx, topic))
		if err != nil {
			return err
		}
		left, err = ends(adm.ListCommittedOffsets(ctx, topic))
		read = maps.Clone(left)
		for p, end := range left {
			first := max(start[p], from[p])
			offsets[p] = kgo.NewOffset().At(first)
			if end <= first {
				delete(left, p)
				delete(offsets, p)
			}
		}
		return err
	})
	if err != nil || len(left) == 0 {
		return read, err
	}
	cl, err := c.client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: offsets}), kgo.KeepControlRecords(),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.FetchMaxWait(100*time.Millisecond))
	if err != nil {
		return read, err
	}
	defer cl.Close()
	return read, scanTo(ctx, cl, left, each)
}

func scanTo(ctx context.Context, cl *kgo.Client, left Ends, each func(*kgo.Record) error) error {
	for len(left) > 0 {
		fetches := cl.PollRecords(ctx, 10_000)
		if err := ctx.Err(); err != nil {
			return &stream.Error{Op: "read a topic", Kind: stream.Transient, Err: err}
		}
		var failed error
		fetches.EachError(func(t string, p int32, err error) {
			if !retriable(err) {
				failed = errors.Join(failed, fmt.Errorf("read %s/%d: %w", t, p, err))
			}
		})
		if failed != nil {
			return failed
		}
		for iter := fetches.RecordIter(); !iter.Done(); {
			r := iter.Next()
			end, open := left[r.Partition]
			if !open {
				continue
			}
			if r.Offset >= end-1 {
				delete(left, r.Partition)
			}
			if r.Offset >= end || r.Attrs.IsControl() {
				continue
			}
			if err := each(r); err != nil {
				return err
			}
		}
	}
	return nil
}
