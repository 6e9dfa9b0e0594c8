package topic

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-dev/freshet/stream"
)

// place is where a partition stands. It is the value of the only key on the partition of the same number of the topic for places.
type place struct {
	TopicID    string       `json:"topic_id"` // of the rows topic; "" while none is adopted
	Generation int64        `json:"generation"`
	Next       int64        `json:"next"`
	Above      int64        `json:"above"` // packed; every version written so far is below it
	Rebuild    *rebuildNote `json:"rebuild,omitempty"`
	Sweep      *sweepNote   `json:"sweep,omitempty"`
}

// rebuildNote is a rebuild under way. What lies on the stage from an offset on belongs to it.
type rebuildNote struct {
	Next  int64 `json:"next"`
	End   int64 `json:"end"`
	Stage int64 `json:"stage"`
}

// sweepNote is what a sweep left to the end of the rebuild: rows in partitions beyond the count.
type sweepNote struct {
	Partitions int32 `json:"partitions"`
	Before     int64 `json:"before"` // packed version
}

const placeKey = "place"

func (p place) applied() stream.Applied {
	a := stream.Applied{TopicID: p.TopicID, Generation: p.Generation, Next: p.Next}
	if p.Rebuild != nil {
		a.Rebuild = &stream.Rebuild{Next: p.Rebuild.Next, End: p.Rebuild.End}
	}
	return a
}

// reached is the offset below which a rebuild must read everything again; 0 when nothing was applied.
func (p place) reached() int64 {
	if p.Rebuild != nil {
		return max(p.Next, p.Rebuild.End)
	}
	return p.Next
}

// rises notes that a version was written.
func (p *place) rises(v stream.Version) { p.Above = max(p.Above, v.Pack()+1) }

// record returns what is written of the place.
func (p place) record(topic string, partition int32) (*kgo.Record, error) {
	value, err := json.Marshal(p)
	return &kgo.Record{Topic: topic, Partition: partition, Key: []byte(placeKey), Value: value}, err
}

// placeTail is how many records at a partition's end are looked through first: the last place is among them, unless as
// many transactions were aborted since.
const placeTail = 64

// readPlaces reads the last committed place of partitions; those that have none are absent.
func (s *Sink) readPlaces(ctx context.Context, partitions []int32) (map[int32]place, error) {
	d, err := s.describe(ctx, s.names.places)
	if err != nil {
		return nil, err
	}
	var there []int32
	for _, p := range partitions {
		if p < d.partitions {
			there = append(there, p)
		}
	}
	parts, err := s.extent(ctx, s.names.places, there)
	if err != nil {
		return nil, err
	}
	places := map[int32]place{}
	tails := map[int32]reach{}
	for p, r := range parts {
		tails[p] = reach{max(r.from, r.to-placeTail), r.to}
	}
	read := func(r *kgo.Record) error {
		var at place
		if err := json.Unmarshal(r.Value, &at); err != nil || string(r.Key) != placeKey {
			return stream.Errorf(stream.Usage, s.op("read the place of"), "record %d of %s/%d is no place (%v); something else writes to this topic",
				r.Offset, r.Topic, r.Partition, err)
		}
		places[r.Partition] = at
		return nil
	}
	if err := s.scan(ctx, s.names.places, tails, read); err != nil {
		return nil, err
	}
	for p := range parts {
		if _, found := places[p]; found {
			delete(parts, p)
		}
	}
	return places, s.scan(ctx, s.names.places, parts, read)
}

// Assign takes the partition: brokers end what an earlier writer left open, and refuse it from now on. Only then the place is
// read. See stream.Sink.
func (s *Sink) Assign(ctx context.Context, partition int32, _ stream.Origin) (stream.Applied, error) {
	const doing = "take a partition of"
	s.Release(partition)
	if err := s.grow(ctx, partition+1); err != nil {
		return stream.Applied{}, s.classed(doing, err)
	}
	t, err := s.take(ctx, partition)
	if err != nil {
		return stream.Applied{}, s.classed(doing, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tenures[partition] = t
	return t.place.applied(), nil
}

// take makes a writer of a partition. It closes itself after an error.
func (s *Sink) take(ctx context.Context, partition int32) (_ *tenure, err error) {
	cl, err := s.newProducer(s.transactionalID(partition))
	if err != nil {
		return nil, err
	}
	t := &tenure{sink: s, partition: partition, cl: cl}
	defer func() {
		if err != nil {
			t.close()
		}
	}()
	if err := fence(ctx, cl); err != nil {
		return nil, err
	}
	places, err := s.readPlaces(ctx, []int32{partition})
	t.place = places[partition]
	return t, err
}

// fence takes a client's transactional ID: nothing that was begun under it before can be committed any more, and all that
// was committed is visible.
func fence(ctx context.Context, cl *kgo.Client) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if _, _, err := cl.ProducerID(ctx); err != nil {
		return fmt.Errorf("take the transactional ID: %w", err)
	}
	return nil
}

// Adopt records origin and the next offset. A rebuild under way for another origin starts anew, or is dropped when nothing
// of the new one was applied. See stream.Sink.
func (s *Sink) Adopt(ctx context.Context, partition int32, origin stream.Origin, next int64) error {
	const doing = "adopt a topic for"
	t, err := s.held(doing, partition)
	if err != nil {
		return err
	}
	to := t.place
	same := to.TopicID == origin.TopicID && to.Generation == origin.Generation
	to.TopicID, to.Generation, to.Next = origin.TopicID, origin.Generation, next
	if !same && to.Rebuild != nil {
		if to.Rebuild = nil; next > 0 {
			if to.Rebuild, err = s.newRebuild(ctx, partition, next); err != nil {
				return s.classed(doing, err)
			}
		}
	}
	return s.classed(doing, t.step(ctx, to, nil))
}
