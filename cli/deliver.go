package cli

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/freshet-dev/freshet/flow"
	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/kafka"
)

// deliver keeps one target in step. A target that is away at the start is waited for; only its lag grows.
func (a *app) deliver(ctx context.Context, t flow.Target) error {
	sink, err := a.openSink(ctx, t)
	if err != nil || sink == nil {
		return err
	}
	defer sink.Close()
	d := kafka.NewDelivery(kafka.DeliveryConfig{Cluster: a.cluster, Topics: a.topics, Target: t.Name, Logic: a.flow.Program.Logic(), Sink: sink, Tables: tablesOf(t),
		Keep: t.Where, ControlAddress: a.address, Instance: a.instance(), Now: time.Now, At: crashPoint,
		Trouble: a.degraded.of("target " + t.Name)})
	if partitions, ok := a.rebuild[t.Name]; ok {
		d.Rebuild(partitions...)
	}
	a.mu.Lock()
	a.deliveries[t.Name], a.sinks[t.Name] = d, sink
	a.mu.Unlock()
	retiring, stop := context.WithCancel(ctx)
	var group sync.WaitGroup
	defer group.Wait()
	defer stop()
	defer a.gone(t.Name)
	group.Go(func() { a.retire(retiring, t, sink) })
	return d.Run(ctx)
}

// tablesOf are the tables that a target keeps, by name.
func tablesOf(t flow.Target) map[string]stream.Table {
	tables := map[string]stream.Table{}
	for _, tt := range t.Config.Tables {
		tables[tt.Table.Name] = tt.Table
	}
	return tables
}

func (a *app) gone(target string) {
	a.searching.Lock() // searches under way end before the sink closes
	defer a.searching.Unlock()
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.deliveries, target)
	delete(a.sinks, target)
}

// newSink makes the sink of a target, which may be on the flow's own cluster.
func (a *app) newSink(t flow.Target) (stream.Sink, error) {
	c := t.Config
	c.Cluster = stream.FlowCluster{Brokers: a.cluster.Brokers, Access: a.flow.Kafka.Access, Partitions: a.topics.Partitions, Embedded: a.embedded}
	if len(c.Cluster.Brokers) == 0 && !a.embedded {
		c.Cluster.Brokers = a.flow.Kafka.Brokers
	}
	for _, in := range a.topics.Inputs {
		c.Cluster.Topics = append(c.Cluster.Topics, in.Topic)
	}
	return t.Spec.New(c)
}

// sinkToRead connects to a target that holds every table as the flow declares it. It is tried once.
func (a *app) sinkToRead(ctx context.Context, t flow.Target) (stream.Sink, error) {
	sink, err := a.newSink(t)
	if err != nil {
		return nil, err
	}
	changed, err := sink.Open(ctx, a.flow.Name, t.Name)
	if err == nil && len(changed) > 0 {
		err = usagef("target %s does not hold table %s as the flow declares it; run the flow first", t.Name, strings.Join(changed, ", "))
	}
	if err != nil {
		_ = sink.Close() // err says what is wrong
		return nil, err
	}
	return sink, nil
}

// openSink connects to a target; nil without an error when ctx ended first.
func (a *app) openSink(ctx context.Context, t flow.Target) (stream.Sink, error) {
	sink, err := a.newSink(t)
	if err != nil {
		return nil, err
	}
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		changed, err := sink.Open(ctx, a.flow.Name, t.Name)
		if err == nil && len(changed) > 0 {
			err = a.recreate(ctx, t, sink, changed)
		}
		if err == nil {
			err = a.show(ctx, t, sink)
		}
		if err == nil {
			a.degraded.note("target "+t.Name, nil)
			return sink, nil
		}
		if ctx.Err() != nil {
			return nil, sink.Close()
		}
		if stream.KindOf(err) != stream.Transient {
			_ = sink.Close() // err says what is wrong
			return nil, err
		}
		a.degraded.note("target "+t.Name, err)
		a.log.Warn("the target can't be reached; it is tried again", "target", t.Name, "error", err, "wait", wait)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil, sink.Close()
		}
	}
}

// recreate replaces tables of the target's own making whose declaration changed; their rows come from the rows topic.
func (a *app) recreate(ctx context.Context, t flow.Target, sink stream.Sink, changed []string) error {
	if !a.before { // it may be of a flow of this name on another cluster
		return usagef("target %s: its table %s is of another declaration of this flow, which is not recorded here; drop the table, or give the "+
			"target another", t.Name, strings.Join(changed, ", "))
	}
	a.log.Warn("tables whose declaration changed are built anew from the rows topic", "target", t.Name, "tables", changed)
	return sink.Recreate(ctx, changed)
}
