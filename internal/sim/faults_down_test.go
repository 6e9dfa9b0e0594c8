//go:build synctests

package sim

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/kafka"
)

// down kills all replicas at some moment, lets do what happens meanwhile, and starts them again on their disks.
func down(meanwhile func(w *world, e *episode) bool) func(*world, *episode) {
	return func(w *world, e *episode) {
		w.publish(w.author.burst(50, e.partition))
		w.wait(w.between(0, 3*time.Second))
		all := w.live()
		held := map[int]disk{}
		for _, p := range all {
			held[p.replica] = p.kill()
		}
		w.wait(11 * time.Second) // sessions end, and open transactions are aborted
		w.after = held
		if w.quiet() && meanwhile(w, e) {
			w.count(e.triple)
		}
		for _, p := range all {
			w.start(p.replica, w.after[p.replica])
		}
		w.publish(w.author.burst(20, e.partition))
		w.wait(w.between(0, 2*time.Second))
	}
}

func (w *world) empty(group string) bool {
	g := w.broker.GroupInfo(group)
	return g == nil || len(g.Members) == 0
}

// quiet waits until the groups of processors and intake are empty, as their tools ask for; the broker may keep a dead member.
func (w *world) quiet() bool {
	deadline, dead := time.Now().Add(time.Minute), w.dead()
	for time.Now().Before(deadline) {
		if w.empty(kafka.ProcessorGroup(flowName)) && w.empty(kafka.IntakeGroup(flowName)) {
			return true
		}
		w.wait(sessions)
		dead = w.bury(dead)
	}
	return false
}

// admin calls fn with a client for administration, of its own, since a client does not notice by an OffsetDelete that its coordinator has moved.
func (w *world) admin(fn func(ctx context.Context, adm *kadm.Client) error) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(w.flow.Brokers...), kgo.Dialer(w.dial), kgo.DisableClientMetrics())
	if err == nil {
		defer cl.Close()
		err = fn(context.Background(), kadm.NewClient(cl))
	}
	if err != nil {
		w.fault("administration: %v", err)
	}
}

// garbled replaces the metadata of a committed offset (F27).
func garbled(metadata string) func(*world, *episode) bool {
	return func(w *world, e *episode) (done bool) {
		w.admin(func(ctx context.Context, adm *kadm.Client) error {
			group := kafka.ProcessorGroup(flowName)
			offsets, err := adm.FetchOffsets(ctx, group)
			o, ok := offsets.Lookup(w.source.Topic, e.partition)
			if err != nil || !ok || o.At < 0 {
				return err
			}
			done = true
			all := kadm.Offsets{}
			all.Add(kadm.Offset{Topic: w.source.Topic, Partition: e.partition, At: o.At, LeaderEpoch: -1, Metadata: metadata})
			return adm.CommitAllOffsets(ctx, group, all)
		})
		return done
	}
}

// forgotten deletes the committed offset of a partition.
func forgotten(w *world, e *episode) bool {
	w.admin(func(ctx context.Context, adm *kadm.Client) error {
		set := kadm.TopicsSet{}
		set.Add(w.source.Topic, e.partition)
		_, err := adm.DeleteOffsets(ctx, kafka.ProcessorGroup(flowName), set)
		return err
	})
	return true
}

// untaken deletes all committed offsets of the intake, as a broker does with a group that is empty for long.
func untaken(w *world, _ *episode) bool {
	w.admin(func(ctx context.Context, adm *kadm.Client) error {
		set := kadm.TopicsSet{}
		for topic, n := range w.sources() {
			for p := range n {
				set.Add(topic, p)
			}
		}
		_, err := adm.DeleteOffsets(ctx, kafka.IntakeGroup(flowName), set)
		if errors.Is(err, kerr.GroupIDNotFound) {
			return nil // nothing was taken in yet
		}
		return err
	})
	return true
}

// slept lets time pass: beyond half of the delete retention targets and stores must not be continued.
func slept(d time.Duration) func(*world, *episode) bool {
	return func(w *world, _ *episode) bool {
		w.wait(d)
		return true
	}
}

// swapped gives each replica the disk of another (F30).
func swapped(w *world, _ *episode) bool {
	held, ids := w.after, slices.Sorted(maps.Keys(w.after))
	w.after = map[int]disk{}
	for i, id := range ids {
		w.after[id] = held[ids[(i+1)%len(ids)]].copied()
	}
	return len(ids) > 1
}

// aged gives each replica an old copy of its disk.
func aged(w *world, _ *episode) (done bool) {
	for i, d := range w.old {
		if w.after[i] != nil {
			w.after[i], done = d.copied(), true
		}
	}
	return done
}

// recreated deletes topics of the flow (F21, S11). A start halts and names the command that helps, which the operator then
// runs.
func recreated(topic string) func(*world, *episode) bool {
	return func(w *world, e *episode) bool {
		if !w.processed(e.partition) {
			return false // nothing was committed yet, so nobody can tell
		}
		if err := w.broker.DeleteTopic(flowName + topic); err != nil {
			w.fault("delete a topic: %v", err)
		}
		w.halts()
		if !w.quiet() {
			w.giveUp("the group of a halted replica does not become empty")
		}
		if _, err := w.flow.Reset(context.Background(), flowName, w.source, 0); err != nil {
			w.fault("reset: %v", err)
		}
		w.ensure()
		return true
	}
}

// processed reports whether the group has committed an offset of the partition, and the targets hold something of it.
func (w *world) processed(p int32) bool {
	g := w.broker.GroupInfo(kafka.ProcessorGroup(flowName))
	if g == nil || g.Commits[w.source.Topic][p].Offset <= 0 {
		return false
	}
	for _, t := range w.targets {
		if t.next()[p] == 0 {
			return false
		}
	}
	return true
}

// halts starts a replica and waits until it says that only a reset helps.
func (w *world) halts() {
	topics, err := w.flow.EnsureTopics(context.Background(), flowName, w.source)
	if err == nil {
		before := w.topics
		w.topics = topics
		p := w.start(maxReplicas, w.blank())
		deadline := time.Now().Add(patience)
		for err == nil && time.Now().Before(deadline) {
			w.wait(500 * time.Millisecond)
			err = p.failure()
		}
		p.stop()
		w.topics = before
	}
	if err == nil || stream.KindOf(err) != stream.Usage || !strings.Contains(err.Error(), "freshet reset") {
		w.fault("a start on topics that are not the flow's own any more does not name the command that helps: %v", err)
	}
}
