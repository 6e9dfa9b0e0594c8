package topic

import (
	"context"
	"iter"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-dev/freshet/stream"
)

// Open connects, makes the topics that a new target lacks, and returns the tables that only Recreate can bring in step. See
// stream.Sink.
func (s *Sink) Open(ctx context.Context, flow, target string) ([]string, error) {
	s.flow, s.target, s.names = flow, target, namesOf(s.prefix, flow, target)
	changed, err := s.open(ctx)
	return changed, s.classed("open", err)
}

func (s *Sink) open(ctx context.Context) (changed []string, err error) {
	if err := s.checkFlow(); err != nil {
		return nil, err
	}
	cl, err := s.client()
	if err != nil {
		return nil, err
	}
	if err := s.checkCluster(ctx, cl); err != nil {
		return nil, err
	}
	begun, err := s.bookkeeping(ctx)
	if err != nil {
		return nil, err
	}
	seen, err := s.look(ctx)
	if err != nil {
		return nil, err
	}
	for _, t := range s.tables {
		ready, err := s.ready(ctx, t, seen)
		switch {
		case err != nil || ready:
		case begun:
			changed = append(changed, t.Name)
		default:
			err = s.make(ctx, t)
		}
		if err != nil {
			return nil, err
		}
		if d := seen.shapes[t.topic]; d.bytes > 0 { // a topic of a user's own making may take less
			s.batchBytes = min(s.batchBytes, d.bytes)
		}
	}
	return changed, s.leaveOut(ctx, seen.notes)
}

// bookkeeping makes the target's own topics, and says whether the target holds rows, so that a topic that is absent lacks some.
func (s *Sink) bookkeeping(ctx context.Context) (begun bool, err error) {
	found, err := s.describeAll(ctx, s.names.register, s.names.stage, s.names.places)
	if err != nil {
		return false, err
	}
	for topic, policy := range map[string]string{s.names.register: compact, s.names.stage: "delete", s.names.places: compact} {
		partitions := s.partitions
		if topic == s.names.register {
			partitions = 1
		}
		if !found[topic].exists {
			if found[topic], err = s.ensure(ctx, topic, policy, partitions); err != nil {
				return false, err
			}
		}
	}
	places, err := s.readPlaces(ctx, upTo(found[s.names.places].partitions))
	for _, p := range places {
		begun = begun || p.reached() > 0 || p.Rebuild != nil
	}
	return begun, err
}

// sight is what is registered of topics, and what those of the tables are.
type sight struct {
	notes  map[string]note
	shapes map[string]description
}

// look reads both as of one moment. Race: a twin that makes a topic registers it first. Were the register read only before,
// the topic would seem a stranger's.
func (s *Sink) look(ctx context.Context) (sight, error) {
	for {
		before, err := s.register(ctx)
		if err != nil {
			return sight{}, err
		}
		shapes, err := s.shapes(ctx, s.topics()...)
		if err != nil {
			return sight{}, err
		}
		after, err := s.register(ctx)
		if err != nil || maps.Equal(before, after) {
			return sight{after, shapes}, err
		}
	}
}

// ready reports whether a table's topic is there as declared. A topic of others is refused, and so is an altered one.
func (s *Sink) ready(ctx context.Context, t *table, in sight) (bool, error) {
	n, d := in.notes[t.topic], in.shapes[t.topic]
	if err := s.own(ctx, t, in); err != nil {
		return false, err
	}
	return d.exists && n.ID == d.id && n.Declaration == t.declaration(), nil
}

// own refuses a topic that this target can't keep rows on. A topic of a user's own making will do when it is empty.
func (s *Sink) own(ctx context.Context, t *table, in sight) error {
	n, known := in.notes[t.topic]
	d := in.shapes[t.topic]
	if known {
		if err := s.mine(t, n); err != nil {
			return err
		}
	}
	switch {
	case !d.exists:
		return nil
	case d.policy != compact && known:
		return s.refuse(t, "was altered by hand: its cleanup.policy is "+d.policy+", under which rows would vanish; set it to compact again")
	case d.policy != compact:
		return s.refuse(t, "exists with cleanup.policy "+d.policy+"; set that to compact, or set `table` to another name")
	case known:
		return nil
	case d.partitions < s.partitions:
		return stream.Errorf(stream.Usage, s.op("open"), "topic %s exists with %d partitions, the flow's rows topic has %d; give it as many, or "+
			"set `table` to another name", t.topic, d.partitions, s.partitions)
	}
	parts, err := s.extent(ctx, t.topic, upTo(d.partitions))
	for _, r := range parts {
		if r.from < r.to {
			return s.refuse(t, "exists already, and holds records that this flow did not write; set `table` to another name")
		}
	}
	return err
}

// make registers a table's topic and creates it if it is absent. Two processes that do this at once agree.
func (s *Sink) make(ctx context.Context, t *table) error {
	if err := s.claim(ctx, t, ""); err != nil {
		return err
	}
	d, err := s.ensure(ctx, t.topic, compact, s.partitions)
	if err != nil {
		return err
	}
	return s.claim(ctx, t, d.id)
}

// Recreate empties the named tables' topics, which stay, and notes in the same transactions that each partition that holds
// anything is to be read again. Earlier writers are fenced. A topic that is absent is made. See stream.Sink.
func (s *Sink) Recreate(ctx context.Context, tables []string) error {
	return s.classed("recreate tables of", s.recreate(ctx, tables))
}

func (s *Sink) recreate(ctx context.Context, names []string) error {
	seen, err := s.look(ctx)
	if err != nil {
		return err
	}
	var named []*table
	for _, t := range s.tables {
		if !slices.Contains(names, t.Name) {
			continue
		}
		err := s.own(ctx, t, seen)
		if err == nil {
			_, err = s.ensure(ctx, t.topic, compact, s.partitions)
		}
		if err != nil {
			return err
		}
		named = append(named, t)
	}
	d, err := s.describe(ctx, s.names.places)
	if err != nil {
		return err
	}
	places, err := s.readPlaces(ctx, upTo(d.partitions))
	if err != nil {
		return err
	}
	for partition := range places {
		if err := s.empty(ctx, partition, named); err != nil {
			return err
		}
	}
	for _, t := range named {
		if err := s.make(ctx, t); err != nil { // last: a crash before it begins anew
			return err
		}
	}
	return nil
}

// empty deletes a partition's rows of tables, and notes that it is to be read again.
func (s *Sink) empty(ctx context.Context, partition int32, tables []*table) error {
	if err := s.grow(ctx, partition+1); err != nil {
		return err
	}
	t, err := s.take(ctx, partition)
	if err != nil {
		return err
	}
	defer t.close()
	live, err := s.sortRows(ctx, tables, []int32{partition}, false)
	if err != nil {
		return err
	}
	defer live.close()
	to := t.place
	end := to.reached()
	if end > 0 {
		if to.Rebuild, err = s.newRebuild(ctx, partition, end); err != nil {
			return err
		}
	}
	last := stream.Unpack(max(0, stream.Version{Generation: to.Generation, Offset: end}.Pack()-1))
	return t.step(ctx, to, s.tombstones(live, last))
}

func (s *Sink) tombstones(live *sorter, version stream.Version) iter.Seq2[*kgo.Record, error] {
	return func(yield func(*kgo.Record, error) bool) {
		for e, err := range live.all() {
			if err != nil {
				yield(nil, err)
				return
			}
			if !e.Dead && !yield(s.tables[e.Table].tombstone(e, version), nil) {
				return
			}
		}
	}
}
