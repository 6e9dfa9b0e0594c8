package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/freshet-dev/freshet/schemas"
	"github.com/freshet-dev/freshet/stream"
)

// What a flow has computed belongs to its topics as they were when it began: offsets of a topic that was deleted and created
// anew mean other records, and with another partition count documents lie elsewhere. The meta topic records their IDs and
// counts; a start and, while it runs, a watch compare.

const (
	// lookEvery is how often the topics are looked at while the flow runs.
	lookEvery = 5 * time.Second
	// goneFor is how long a topic is waited for that brokers do not list, before it counts as deleted.
	goneFor = 30 * time.Second
	// confirmAfter is when a difference is looked at once more: a broker may not have heard the news yet.
	confirmAfter = time.Second
)

// names are the topics that a flow can't do without.
func (s Source) names(flow string) []string {
	names := []string{s.Topic, rowsTopic(flow), changelogTopic(flow), metaTopic(flow)}
	for _, from := range s.From {
		names = append(names, from.Topic)
	}
	return names
}

// derived are the topics of a flow that a reset deletes and creates anew.
func (s Source) derived(flow string) []string {
	names := []string{rowsTopic(flow), changelogTopic(flow)}
	if s.From != nil {
		names = append(names, s.Topic)
	}
	return names
}

// look returns the topics that are there.
func look(ctx context.Context, adm *kadm.Client, names []string) (map[string]schemas.Topic, error) {
	details, err := adm.ListTopics(ctx, names...)
	if err != nil {
		return nil, &stream.Error{Op: "look up topics", Kind: stream.Transient, Err: err}
	}
	out := map[string]schemas.Topic{}
	for _, name := range names {
		d, listed := details[name]
		switch {
		case !listed || errors.Is(d.Err, kerr.UnknownTopicOrPartition):
		case kerr.IsRetriable(d.Err):
			return nil, &stream.Error{Op: "look up topic " + name, Kind: stream.Transient, Err: d.Err}
		case d.Err != nil:
			return nil, stream.Errorf(stream.Unauthorised, "look up topic "+name, "%w; allow the flow to describe it", d.Err)
		default:
			out[name] = schemas.Topic{ID: d.ID.String(), Partitions: int32(len(d.Partitions))}
		}
	}
	return out, nil
}

// begins says how to go on after a topic is not what it was.
const begins = "to begin again from the sources, run: freshet reset -f FLOW"

// differs says in which way a topic is no longer the one recorded; nil when it is.
func differs(name string, was schemas.Topic, now map[string]schemas.Topic) error {
	is, there := now[name]
	op := "compare topic " + name + " with the one that the flow began with"
	switch {
	case !there:
		return stream.Errorf(stream.Usage, op, "it was deleted; %s (a topic that others write has to be there again first)", begins)
	case is.ID != was.ID:
		return stream.Errorf(stream.Usage, op, "it was deleted and created anew (its ID is %s, it was %s), so that offsets mean other records; %s",
			is.ID, was.ID, begins)
	case is.Partitions != was.Partitions:
		return stream.Errorf(stream.Usage, op, "it has %d partitions, it had %d, so that changes of one document lie in two of them; %s",
			is.Partitions, was.Partitions, begins)
	}
	return nil
}

// compare returns the first difference, in order of names.
func compare(was, now map[string]schemas.Topic) error {
	for _, name := range slices.Sorted(maps.Keys(was)) {
		if err := differs(name, was[name], now); err != nil {
			return err
		}
	}
	return nil
}

// recorded reads the meta topic before a start creates anything, and refuses topics that are not those of the flow. What it
// returns is empty for a flow that never ran.
func (c Cluster) recorded(ctx context.Context, adm *kadm.Client, flow string, source Source) (m schemas.Meta, err error) {
	for looks := 0; ; looks++ {
		if m, err = c.recordedNow(ctx, adm, flow, source); stream.KindOf(err) != stream.Usage || looks == 3 {
			return m, err
		}
		if e := pause(ctx, confirmAfter); e != nil {
			return m, err
		}
	}
}

func (c Cluster) recordedNow(ctx context.Context, adm *kadm.Client, flow string, source Source) (m schemas.Meta, err error) {
	now, err := look(ctx, adm, source.names(flow))
	if err != nil {
		return m, asRefusal(err)
	}
	// Read before the meta topic: a replica that starts beside this one records there before it processes anything.
	worked, err := holdsRecords(ctx, adm, changelogTopic(flow), now)
	if err != nil {
		return m, err
	}
	if _, there := now[metaTopic(flow)]; there {
		if m, err = c.meta(ctx, flow); err != nil {
			return m, err
		}
	}
	if m.Generation == nil && worked {
		return m, stream.Errorf(stream.Usage, "read "+metaTopic(flow), "it says no generation, but %s holds records: the topic was deleted or "+
			"emptied; %s", changelogTopic(flow), begins)
	}
	if m.Topics == nil {
		return m, nil
	}
	if g := value(m.Generation).Generation; m.Topics.Generation != g {
		return m, stream.Errorf(stream.Usage, "read "+metaTopic(flow), "a reset to generation %d was cut short; run again: freshet reset -f FLOW", g)
	}
	was := maps.Clone(m.Topics.Topics)
	maps.DeleteFunc(was, func(name string, _ schemas.Topic) bool { return !slices.Contains(source.names(flow), name) })
	return m, compare(was, now)
}

// asRefusal makes what is not allowed a matter for the user: at the start nothing is lost by saying so at once.
func asRefusal(err error) error {
	var e *stream.Error
	if errors.As(err, &e) && e.Kind == stream.Unauthorised {
		return &stream.Error{Op: e.Op, Kind: stream.Usage, Err: e.Err}
	}
	return err
}

// grown returns the topics of sources that were given partitions since the flow began with them and are to be written again.
// A document's older changes lie in another partition than its newer ones then, and nothing says their order. Freshet's own
// watcher writes its topic again; another one is its writer's.
func (c Cluster) grown(ctx context.Context, adm *kadm.Client, flow string, source Source) (again []string, err error) {
	now, err := look(ctx, adm, source.names(flow))
	if _, there := now[metaTopic(flow)]; err != nil || !there {
		return nil, err
	}
	m, err := c.meta(ctx, flow)
	if err != nil {
		return nil, err
	}
	for _, in := range source.inputs() {
		was, is := value(m.Topics).Topics[in.Topic], now[in.Topic]
		switch {
		case was.ID != is.ID || was.Partitions == is.Partitions:
		case in.Ours:
			again = append(again, in.Topic)
		default:
			return nil, stream.Errorf(stream.Usage, "reset the flow", "topic %s has %d partitions, it had %d: changes of one document lie in two of them, "+
				"and their order is lost; let its writer create it anew and write everything again (a connector: a new snapshot), then run: "+
				"freshet reset -f FLOW", in.Topic, is.Partitions, was.Partitions)
		}
	}
	return again, nil
}

func holdsRecords(ctx context.Context, adm *kadm.Client, topic string, now map[string]schemas.Topic) (bool, error) {
	if _, there := now[topic]; !there {
		return false, nil
	}
	high, err := ends(adm.ListEndOffsets(ctx, topic))
	for _, end := range high {
		if end > 0 {
			return true, err
		}
	}
	return false, err
}

// record notes the topics as they are now for the generation, unless that is noted already. not are IDs that are gone: a
// broker that still tells them is asked again.
func (c Cluster) record(ctx context.Context, adm *kadm.Client, flow string, source Source, held schemas.Meta, generation int64,
	not map[string]schemas.Topic) (schemas.Topics, error) {
	t := schemas.Topics{Generation: generation}
	for {
		var err error
		if t.Topics, err = look(ctx, adm, source.names(flow)); err != nil {
			return t, err
		}
		if len(t.Topics) == len(source.names(flow)) && !slices.ContainsFunc(source.derived(flow), func(name string) bool {
			return t.Topics[name].ID == not[name].ID
		}) {
			break
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return t, &stream.Error{Op: "look up the topics of flow " + flow, Kind: stream.Transient, Err: err}
		}
	}
	if held.Topics != nil && held.Topics.Generation == generation && maps.Equal(held.Topics.Topics, t.Topics) {
		return t, nil
	}
	r, err := schemas.EncodeTopics(t)
	if err != nil {
		return t, err
	}
	return t, c.writeMeta(ctx, flow, r)
}

// Watch looks at the flow's topics until ctx ends (nil) or they are not what the flow began with (kind Usage). A topic that
// is not listed is waited for, a while; one that may not be looked at, for as long as it takes. trouble is told what does
// not work now, and nil when all does; the processors wait meanwhile.
func (c Cluster) Watch(ctx context.Context, t Topics, trouble func(error)) error {
	names := slices.Sorted(maps.Keys(t.Recorded.Topics))
	var since time.Time // of the first look that found a difference; zero: the last found none
	for wait := lookEvery; pause(ctx, wait) == nil; {
		wait = lookEvery
		var now map[string]schemas.Topic
		err := c.admin(func(adm *kadm.Client) (err error) {
			asked, cancel := context.WithTimeout(ctx, connectWithin)
			defer cancel()
			now, err = look(asked, adm, names)
			return err
		})
		if err == nil {
			err = compare(t.Recorded.Topics, now)
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			since = time.Time{}
			trouble(nil)
			continue
		case stream.KindOf(err) != stream.Usage:
			trouble(err) // brokers that are away, or a right that was taken, come back
			continue
		case since.IsZero():
			since = time.Now()
		case len(now) == len(names) || time.Since(since) >= goneFor:
			return fmt.Errorf("flow %s halts: %w", t.Flow, err)
		}
		trouble(err)
		wait = confirmAfter
	}
	return nil
}
