package topic

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-dev/freshet/stream"
)

// note is what the register says of a topic that a target made. An empty declaration marks one that a later declaration
// left out; an empty ID, one that is being made.
type note struct {
	Flow        string `json:"flow"`
	Target      string `json:"target"`
	Declaration string `json:"declaration"`
	ID          string `json:"id"`
}

// register reads whose each topic is.
func (s *Sink) register(ctx context.Context) (map[string]note, error) {
	notes := map[string]note{}
	err := s.scanAll(ctx, s.names.register, []int32{0}, func(r *kgo.Record) error {
		var n note
		if err := json.Unmarshal(r.Value, &n); err != nil {
			return stream.Errorf(stream.Usage, s.op("open"), "record %d of %s can't be read (%w); something else writes to this topic", r.Offset, r.Topic, err)
		}
		notes[string(r.Key)] = n
		return nil
	})
	return notes, err
}

// amend changes the register under its lock, a transactional ID of its own: who takes it ends what others had begun, and
// is told when it is taken over before the change is committed. change gets what is registered and returns what is not.
func (s *Sink) amend(ctx context.Context, change func(map[string]note) (map[string]note, error)) error {
	for {
		err := s.amendOnce(ctx, change)
		if err == nil || !isOne(err, stale) || ctx.Err() != nil {
			return err
		}
	}
}

func (s *Sink) amendOnce(ctx context.Context, change func(map[string]note) (map[string]note, error)) error {
	cl, err := s.newProducer(s.names.register + s.salt)
	if err != nil {
		return err
	}
	defer cl.Close()
	if err := fence(ctx, cl); err != nil {
		return err
	}
	notes, err := s.register(ctx)
	if err != nil {
		return err
	}
	changes, err := change(notes)
	if err != nil || len(changes) == 0 {
		return err
	}
	return (&transaction{cl: cl, patience: s.patience}).run(ctx, func(send func(*kgo.Record) error) error {
		for topic, n := range changes {
			value, err := json.Marshal(n)
			if err == nil {
				err = send(&kgo.Record{Topic: s.names.register, Key: []byte(topic), Value: value})
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// claim registers a topic as this target's, unless it is another's. Without an ID, what is registered of this declaration stays.
func (s *Sink) claim(ctx context.Context, t *table, id string) error {
	return s.amend(ctx, func(notes map[string]note) (map[string]note, error) {
		if n, known := notes[t.topic]; known {
			if err := s.mine(t, n); err != nil {
				return nil, err
			}
		}
		n := note{s.flow, s.target, t.declaration(), id}
		if held := notes[t.topic]; held == n || id == "" && held.Declaration == n.Declaration {
			return nil, nil
		}
		return map[string]note{t.topic: n}, nil
	})
}

// mine refuses the topic of another target.
func (s *Sink) mine(t *table, n note) error {
	if n.Flow == s.flow && n.Target == s.target {
		return nil
	}
	return s.refuse(t, fmt.Sprintf("belongs to target %s of flow %s; set `table` or `prefix` to another name", n.Target, n.Flow))
}

func (s *Sink) refuse(t *table, why string) error {
	return stream.Errorf(stream.Usage, s.op("open"), "topic %s %s", t.topic, why)
}

// leaveOut notes that this target's topics outside the declaration are not kept any more: should one come back, it lacks
// what happened meanwhile.
func (s *Sink) leaveOut(ctx context.Context, notes map[string]note) error {
	left := func(notes map[string]note) map[string]note {
		out := map[string]note{}
		for topic, n := range notes {
			if n.Flow == s.flow && n.Target == s.target && n.Declaration != "" && !s.keeps(topic) {
				n.Declaration = ""
				out[topic] = n
			}
		}
		return out
	}
	if len(left(notes)) == 0 {
		return nil
	}
	return s.amend(ctx, func(notes map[string]note) (map[string]note, error) { return left(notes), nil })
}

func (s *Sink) keeps(topic string) bool {
	for _, t := range s.tables {
		if t.topic == topic {
			return true
		}
	}
	return false
}

var errKey = errors.New("its key is not [document, key]")
