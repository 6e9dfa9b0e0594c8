package guard

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"

	"github.com/freshet-dev/freshet/stream"
)

// place is where a partition stands in the target, and who may move it.
type place struct {
	Partition  int32        `json:"partition"`
	TopicID    string       `json:"topic_id"`
	Generation int64        `json:"generation"`
	Next       int64        `json:"next"`
	Epoch      int64        `json:"epoch"`
	Owner      string       `json:"owner"`
	Rebuild    *rebuildNote `json:"rebuild,omitempty"`
}

// rebuildNote is a rebuild under way. Rows written since its epoch belong to it; the others are what it replaces.
type rebuildNote struct {
	Next  int64 `json:"next"`
	End   int64 `json:"end"`
	Since int64 `json:"since"`
}

// rowEpoch is the epoch as rows carry it: rising over generations too, since a row may change its partition with one.
func (p *place) rowEpoch() int64 {
	return stream.Version{Generation: p.Generation, Offset: p.Epoch}.Pack()
}

func (p *place) applied() stream.Applied {
	a := stream.Applied{TopicID: p.TopicID, Generation: p.Generation, Next: p.Next}
	if p.Rebuild != nil {
		a.Rebuild = &stream.Rebuild{Next: p.Rebuild.Next, End: p.Rebuild.End}
	}
	return a
}

// reached is the offset below which a rebuild must read everything again; 0 when nothing was applied.
func (p *place) reached() int64 {
	if p.Rebuild != nil {
		return max(p.Next, p.Rebuild.End)
	}
	return p.Next
}

func placesOf(flow, target string) string {
	return "freshet/place/" + url.PathEscape(flow) + "/" + url.PathEscape(target) + "/"
}

// Places returns what a target holds of each partition, for checks.
func Places(ctx context.Context, store Documents, flow, target string) (map[int32]stream.Applied, error) {
	docs, err := store.List(ctx, placesOf(flow, target))
	if err != nil {
		return nil, err
	}
	out := map[int32]stream.Applied{}
	for _, d := range docs {
		var p place
		if err := json.Unmarshal(d.Body, &p); err != nil {
			return nil, fmt.Errorf("document %s: %w", d.Key, err)
		}
		out[p.Partition] = p.applied()
	}
	return out, nil
}

func (s *Sink) readPlace(ctx context.Context, partition int32) (place, Document, error) {
	p := place{Partition: partition}
	d, err := s.store.Get(ctx, placesOf(s.flow, s.target)+strconv.Itoa(int(partition)))
	if err != nil || d.Sequence == 0 {
		return p, d, err
	}
	if err := json.Unmarshal(d.Body, &p); err != nil {
		return p, d, fmt.Errorf("document %s: %w", d.Key, err)
	}
	return p, d, nil
}

// swap replaces a document. An answer that was lost is told from a conflict by reading again: no other writer puts the same body.
func (s *Sink) swap(ctx context.Context, held Document, to any) (Document, error) {
	body, err := json.Marshal(to)
	if err != nil {
		return held, err
	}
	d, err := s.store.Swap(ctx, held, body)
	if err == nil {
		return d, nil
	}
	now, again := s.store.Get(ctx, held.Key)
	if again == nil && now.Sequence != held.Sequence && bytes.Equal(now.Body, body) {
		return now, nil
	}
	return held, err
}

// change reads a place, alters it and swaps it, again after a conflict.
func (s *Sink) change(ctx context.Context, partition int32, alter func(*place) error) (place, error) {
	for {
		p, d, err := s.readPlace(ctx, partition)
		if err != nil {
			return p, err
		}
		if err := alter(&p); err != nil {
			return p, err
		}
		if _, err = s.swap(ctx, d, p); !errors.Is(err, ErrConflict) {
			return p, err
		}
		if err := ctx.Err(); err != nil {
			return p, err
		}
	}
}

// raise gives the place a new epoch, above the one held. It is a time, so that it also exceeds the epochs of rows in a
// target whose places were restored from an older backup than its rows.
func (s *Sink) raise(p *place) {
	p.Epoch, p.Owner = max(p.Epoch+1, s.Now().UnixMilli()), s.owner
}

// Assign raises the partition's epoch, which refuses earlier writers from now on. See stream.Sink.
func (s *Sink) Assign(ctx context.Context, partition int32, _ stream.Origin) (stream.Applied, error) {
	p, err := s.change(ctx, partition, func(p *place) error {
		s.raise(p)
		return nil
	})
	if err != nil {
		return stream.Applied{}, s.said("take a partition of", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held[partition] = &tenure{epoch: p.Epoch}
	return p.applied(), nil
}

// Inspect reads the place of a partition. See stream.Inspector.
func (s *Sink) Inspect(ctx context.Context, partition int32) (stream.Applied, error) {
	p, _, err := s.readPlace(ctx, partition)
	return p.applied(), s.said("inspect", err)
}

// alter changes the place of a partition that this writer holds. Invariant 4: under its epoch only.
func (s *Sink) alter(ctx context.Context, doing string, partition int32, alter func(*place) error) (place, error) {
	p, err := s.change(ctx, partition, func(p *place) error {
		if s.tenure(partition, *p) == nil {
			return s.lost(doing, partition)
		}
		return alter(p)
	})
	return p, s.said(doing, err)
}

// tenure returns what is known of a partition, nil when p says that it is another's.
func (s *Sink) tenure(partition int32, p place) *tenure {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.held[partition]
	if t == nil || p.Owner != s.owner || p.Epoch != t.epoch && p.Epoch != t.proposed {
		return nil
	}
	t.epoch = p.Epoch
	return t
}

// Adopt records origin and the next offset. A rebuild under way for another origin starts anew, or is dropped when nothing
// of the new one was applied. See stream.Sink.
func (s *Sink) Adopt(ctx context.Context, partition int32, origin stream.Origin, next int64) error {
	_, err := s.alter(ctx, "adopt a topic for", partition, func(p *place) error {
		same := p.TopicID == origin.TopicID && p.Generation == origin.Generation
		p.TopicID, p.Generation, p.Next = origin.TopicID, origin.Generation, next
		switch {
		case same || p.Rebuild == nil:
		case next == 0:
			p.Rebuild = nil
		default:
			p.Rebuild = &rebuildNote{End: next, Since: p.rowEpoch()}
		}
		return nil
	})
	return err
}
