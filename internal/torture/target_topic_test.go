package torture

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// topicTarget is a pair of topics on the flow's own brokers, folded as a plain consumer of committed records does.
type topicTarget struct {
	rig    *rig
	prefix string

	mu   sync.Mutex
	from map[string]map[int32]int64 // by topic and partition: what was not read yet
	held map[string]row
	next map[int32]int64
}

func newTopic(_ *testing.T, r *rig) target {
	return &topicTarget{rig: r, prefix: r.name + ".out.", from: map[string]map[int32]int64{}, held: map[string]row{}, next: map[int32]int64{}}
}

func (*topicTarget) name() string { return "topic" }

// whole is false: a document's rows of both tables lie on two topics.
func (*topicTarget) whole() bool { return false }

func (v *topicTarget) block() string {
	return fmt.Sprintf(`{ topic: { prefix: %q }, tables: [docs, chunks] }`, v.prefix)
}

func (*topicTarget) env(int) []string { return nil }

func (v *topicTarget) rows(ctx context.Context, _ bool) (all []row, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, table := range []string{"docs", "chunks"} {
		if err := v.follow(ctx, v.prefix+table, func(r *kgo.Record) error { return v.take(table, r) }); err != nil {
			return nil, err
		}
	}
	for _, s := range v.held {
		all = append(all, s)
	}
	return all, nil
}

// take folds a record.
func (v *topicTarget) take(table string, r *kgo.Record) error {
	var id [2]string
	if err := json.Unmarshal(r.Key, &id); err != nil {
		return err
	}
	s := row{table: table, document: id[0], key: id[1]}
	if r.Value == nil {
		delete(v.held, s.identity())
		return nil
	}
	var columns struct {
		ID, Rev, Parts int64
		Text           string
		Embedding      []float32
	}
	if err := json.Unmarshal(r.Value, &columns); err != nil {
		return err
	}
	s.id, s.rev, s.parts, s.text, s.vector = columns.ID, columns.Rev, columns.Parts, columns.Text, columns.Embedding
	for _, h := range r.Headers {
		if h.Key == "freshet.version" {
			n, err := strconv.ParseInt(string(h.Value), 10, 64)
			if err != nil {
				return err
			}
			s.version = n
		}
	}
	v.held[s.identity()] = s
	return nil
}

func (v *topicTarget) applied(ctx context.Context) (map[int32]int64, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	err := v.follow(ctx, fmt.Sprintf("%sfreshet.places.%s.%s", v.prefix, v.rig.name, v.name()), func(r *kgo.Record) error {
		var place struct{ Next int64 }
		err := json.Unmarshal(r.Value, &place)
		v.next[r.Partition] = place.Next
		return err
	})
	at := map[int32]int64{}
	for p, next := range v.next {
		at[p] = next
	}
	return at, err
}

// follow reads on what is committed of a topic, once it is there.
func (v *topicTarget) follow(ctx context.Context, topic string, each func(*kgo.Record) error) error {
	ends, err := v.rig.adm.ListCommittedOffsets(ctx, topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		if errors.Is(err, kerr.UnknownTopicOrPartition) {
			return nil
		}
		return err
	}
	if v.from[topic] == nil {
		v.from[topic] = map[int32]int64{}
	}
	left, offsets := map[int32]int64{}, map[int32]kgo.Offset{}
	ends.Each(func(o kadm.ListedOffset) {
		if from := v.from[topic][o.Partition]; from < o.Offset {
			left[o.Partition], offsets[o.Partition] = o.Offset, kgo.NewOffset().At(from)
		}
	})
	if len(left) == 0 {
		return nil
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(v.rig.addresses()...), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: offsets}),
		kgo.KeepControlRecords(), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.FetchMaxWait(100*time.Millisecond), kgo.DisableClientMetrics())
	if err != nil {
		return err
	}
	defer cl.Close()
	for len(left) > 0 {
		fetches := cl.PollFetches(ctx)
		if err := ctx.Err(); err != nil {
			return err
		}
		for iter := fetches.RecordIter(); !iter.Done(); {
			r := iter.Next()
			if !r.Attrs.IsControl() {
				if err := each(r); err != nil {
					return fmt.Errorf("%s/%d at %d: %w", r.Topic, r.Partition, r.Offset, err)
				}
			}
			v.from[topic][r.Partition] = r.Offset + 1
			if r.Offset+1 >= left[r.Partition] {
				delete(left, r.Partition)
			}
		}
	}
	return nil
}
