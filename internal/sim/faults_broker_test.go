//go:build synctests

package sim

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// refusals are answers of a broker, by what was asked.
var refusals = map[string][]kfake.Fault{
	"rows": by(kmsg.Produce, 2, kerr.NotLeaderForPartition, kerr.NotEnoughReplicas, kerr.RequestTimedOut, kerr.NotEnoughReplicasAfterAppend,
		kerr.MessageTooLarge, kerr.InvalidProducerEpoch, kerr.UnknownServerError, kerr.ConcurrentTransactions),
	"changelog": by(kmsg.Produce, 2, kerr.NotLeaderForPartition, kerr.NotEnoughReplicas, kerr.RequestTimedOut, kerr.InvalidRecord,
		kerr.MessageTooLarge, kerr.InvalidProducerEpoch, kerr.UnknownServerError),
	"offsets": by(kmsg.TxnOffsetCommit, 2, kerr.RequestTimedOut, kerr.ConcurrentTransactions, kerr.NotCoordinator, kerr.CoordinatorLoadInProgress,
		kerr.RebalanceInProgress, kerr.IllegalGeneration, kerr.UnknownMemberID, kerr.InvalidProducerEpoch, kerr.ProducerFenced),
	"intake": by(kmsg.Produce, 2, kerr.NotLeaderForPartition, kerr.NotEnoughReplicas, kerr.RequestTimedOut, kerr.NotEnoughReplicasAfterAppend,
		kerr.InvalidProducerEpoch, kerr.ConcurrentTransactions),
	"end": by(kmsg.EndTxn, 2, kerr.RequestTimedOut, kerr.ConcurrentTransactions, kerr.NotCoordinator, kerr.CoordinatorNotAvailable, kerr.InvalidTxnState,
		kerr.InvalidProducerEpoch, kerr.ProducerFenced, kerr.UnknownServerError),
}

// by makes a fault of each error.
func by(key kmsg.Key, count int, errs ...*kerr.Error) (out []kfake.Fault) {
	for _, e := range errs {
		out = append(out, kfake.Fault{Keys: []kmsg.Key{key}, Err: e, Count: count, TopLevel: key == kmsg.EndTxn})
	}
	return out
}

// refused has the broker refuse the next request of a transaction; what is asked is the point.
func refused(w *world, e *episode) {
	all := refusals[strings.TrimPrefix(e.point, "intake: ")]
	f := all[w.rng.IntN(len(all))]
	f.Count = 1 + w.rng.IntN(f.Count)
	t := &trap{triple: triple{e.fault + " " + f.Err.Message, e.point, e.partition}, silent: true}
	id := fmt.Sprint(flowName, ".")
	if t.point = "F1"; strings.HasPrefix(e.point, "intake") {
		t.point, id = "I1", id+"intake."
	}
	var h *kfake.FaultHandle
	t.spring = func(p *process) error {
		w.lied = w.lied || f.Err == kerr.ProducerFenced || f.Err == kerr.InvalidProducerEpoch
		switch e.point {
		case "rows", "changelog", "intake":
			f.Topic, f.Partitions = flowName+"."+e.point, []int32{e.partition}
		default:
			f.TxnID = fmt.Sprint(id, p.replica)
		}
		h = w.broker.Fault(f)
		return nil
	}
	if w.lure(t) {
		w.wait(w.between(time.Second, 4*time.Second))
		if h.Hits() > 0 {
			w.count(triple{t.fault, e.point, e.partition})
		}
		h.Remove()
	}
}

// moved lets something move at the point, such as coordinators (F19).
func moved(move func(w *world, e *episode)) func(*world, *episode) {
	return func(w *world, e *episode) {
		t := &trap{triple: e.triple, spring: func(*process) error {
			move(w, e)
			return nil
		}}
		if w.lure(t) {
			w.wait(w.between(0, 3*time.Second))
		}
	}
}

// leaders moves the leaders of the partition's topics to the other broker.
func leaders(w *world, e *episode) {
	all := map[string]int32{w.source.Topic: w.partitions, flowName + ".rows": w.partitions, flowName + ".changelog": w.partitions}
	maps.Copy(all, w.sources())
	for topic, n := range all {
		if err := w.broker.MoveTopicPartition(topic, e.partition%n, 1-w.broker.LeaderFor(topic, e.partition%n)); err != nil {
			w.fault("move a leader: %v", err)
		}
	}
}

func coordinators(w *world, _ *episode) { w.broker.RehashCoordinators() }

// jumped lets clocks jump at the point (F25): the wall clock of all processes, not the broker's.
func jumped(w *world, _ *episode) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.skew = []time.Duration{-time.Hour, time.Hour, 5 * 24 * time.Hour}[len(w.sprung)%3]
}

// late has the end of another's transaction come late, from the point on: what is committed after its first record stays
// unseen by readers of committed records, who are told that the log ends there. In place of what the in-process broker
// can't show, which ends a transaction at once.
func late(w *world, e *episode) {
	other, err := kgo.NewClient(kgo.SeedBrokers(w.flow.Brokers...), kgo.Dialer(w.dial), kgo.DisableClientMetrics(),
		kgo.TransactionalID("another"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		w.giveUp("another producer: %v", err)
	}
	defer other.Close()
	ctx := context.Background()
	t := &trap{triple: e.triple, spring: func(*process) error {
		if err := other.BeginTransaction(); err != nil {
			return err
		}
		key := []byte("of a transaction that is aborted")
		records := []*kgo.Record{{Topic: flowName + ".rows", Partition: e.partition, Key: key}, {Topic: flowName + ".changelog", Partition: e.partition, Key: key}}
		if w.several {
			records = append(records, &kgo.Record{Topic: w.source.Topic, Partition: e.partition, Key: key})
		}
		return other.ProduceSync(ctx, records...).FirstErr()
	}}
	if !w.lure(t) {
		return
	}
	w.wait(w.between(time.Second, 4*time.Second))
	switch w.rng.IntN(3) {
	case 0: // a restore meanwhile
		all := w.live()
		p := all[w.rng.IntN(len(all))]
		p.kill()
		w.start(p.replica, w.blank())
	case 1: // restores that know the end of what is committed from the log alone (F27)
		all := w.live()
		for _, p := range all {
			p.kill()
		}
		w.wait(11 * time.Second)
		if w.quiet() {
			garbled("")(w, e)
		}
		for _, p := range all {
			w.start(p.replica, w.blank())
		}
	}
	w.wait(w.between(time.Second, 8*time.Second))
	if err := other.EndTransaction(ctx, kgo.TryAbort); err != nil {
		w.fault("abort another's transaction: %v", err)
	}
}
