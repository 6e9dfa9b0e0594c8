package webhook

import (
	"context"
	"time"

	"github.com/freshet-dev/freshet/stream"
)

// tenure is what this writer knows of a partition that it took. Calls for one partition do not overlap.
type tenure struct {
	place
	unsure string // key of the last request, when its answer was lost
}

// Assign takes the partition by raising its epoch, which refuses earlier writers from now on. See stream.Sink.
func (s *Sink) Assign(ctx context.Context, partition int32, _ stream.Origin) (stream.Applied, error) {
	p, err := s.take(ctx, "take a partition of", partition)
	return p.applied(), err
}

// take proposes epochs until one is above that of the place.
func (s *Sink) take(ctx context.Context, doing string, partition int32) (place, error) {
	above := int64(0)
	for {
		r := &request{Do: "take", Partition: &partition, Writer: s.writer, Epoch: s.tick(above)}
		out, err := s.post(ctx, doing, r)
		if err != nil {
			return place{}, err
		}
		if !out.conflict && out.Place.Epoch == r.Epoch {
			s.mu.Lock()
			s.held[partition] = &tenure{place: *out.Place}
			s.mu.Unlock()
			return *out.Place, nil
		}
		if out.Place.Epoch < r.Epoch {
			return place{}, stream.Errorf(stream.Usage, s.op(doing), "partition %d: the receiver was given epoch %d and says that it has %d", partition, r.Epoch, out.Place.Epoch)
		}
		above = out.Place.Epoch
	}
}

// tick returns an epoch above the given one and all that this writer proposed: also when an answer was lost, the next attempt needs one request.
// Each is a time too, in ms, so that it exceeds those of writers that a receiver does not know any more, since it was put back to an earlier state.
func (s *Sink) tick(above int64) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.proposed = max(s.proposed+1, above+1, time.Now().UnixMilli())
	return s.proposed
}

// Inspect asks for the place of a partition. See stream.Inspector.
func (s *Sink) Inspect(ctx context.Context, partition int32) (stream.Applied, error) {
	a, err := s.state(ctx, "inspect")
	for _, p := range a.Places {
		if p.Partition == partition {
			return p.applied(), err
		}
	}
	return stream.Applied{}, err
}

// Adopt sets origin and the next offset. A rebuild under way starts anew, or is dropped when nothing of the new origin was applied. See stream.Sink.
func (s *Sink) Adopt(ctx context.Context, partition int32, origin stream.Origin, next int64) error {
	return s.set(ctx, "adopt a topic for", partition, func(p *place) {
		end := next
		if p.Rebuild != nil && p.Topic == origin.TopicID && p.Generation == origin.Generation {
			end = p.Rebuild.End
		}
		p.Topic, p.Generation, p.Next = origin.TopicID, origin.Generation, next
		if p.Rebuild != nil {
			p.Rebuild = nil
			if end > 0 {
				p.Rebuild = rebuildOf(p.Generation, end)
			}
		}
	})
}

// set alters the place of a partition that this writer holds, and raises its epoch, so that no batch of an earlier rebuild is the same as one of
// this; the receiver empties the partition's stage.
func (s *Sink) set(ctx context.Context, doing string, partition int32, alter func(*place)) error {
	t := s.tenure(partition)
	if t == nil {
		return s.lost(doing, partition)
	}
	to := t.place
	to.Epoch, to.Writer = to.Epoch+1, s.writer
	alter(&to)
	return s.step(ctx, doing, &request{Do: "set", Partition: &partition, Place: &to}, func(p place) bool { return p.Epoch == to.Epoch })
}

// step sends what only the partition's writer may, and takes over the place that it leads to, which done knows. A refusal that comes with that
// place, to what was sent before without an answer, says that it was taken. Invariant 4: the receiver compares the epoch.
func (s *Sink) step(ctx context.Context, doing string, r *request, done func(place) bool) error {
	t := s.tenure(*r.Partition)
	if t == nil {
		return s.lost(doing, *r.Partition)
	}
	r.Epoch = t.Epoch
	after := t.Epoch
	if r.Place != nil {
		after = r.Place.Epoch
	}
	out, err := s.post(ctx, doing, r)
	switch {
	case err != nil:
		t.unsure = out.key
		return err
	case out.conflict && (t.unsure != out.key || out.Place.Epoch != after || out.Place.Writer != s.writer || !done(*out.Place)):
		return s.lost(doing, *r.Partition)
	case out.Place.Epoch != after, !done(*out.Place):
		return stream.Errorf(stream.Usage, s.op(doing), "%s: the receiver answers with success, but with place %+v; it must do all of a request or nothing",
			r.about(), *out.Place)
	}
	t.place, t.unsure = *out.Place, ""
	return nil
}

// tenure returns what is known of a partition, nil when this writer does not hold it.
func (s *Sink) tenure(partition int32) *tenure {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held[partition]
}

// Release forgets the partition; its epoch stays at the receiver. See stream.Sink.
func (s *Sink) Release(partition int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.held, partition)
}

func (s *Sink) lost(doing string, partition int32) error {
	return stream.Errorf(stream.Fenced, s.op(doing), "partition %d is not this writer's, or the batch does not follow what is applied", partition)
}
