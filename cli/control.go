package cli

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/freshet-dev/freshet/control"
	"github.com/freshet-dev/freshet/flow"
	"github.com/freshet-dev/freshet/statestore"
	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/engine"
	"github.com/freshet-dev/freshet/stream/kafka"
)

// controlled is what a process needs to be looked at and asked.
type controlled struct {
	metrics   *control.Metrics
	listener  net.Listener
	searching sync.RWMutex // held shared by searches; exclusively when a sink leaves
}

// observe counts what the process's Kafka clients do.
func (a *app) observe() {
	a.metrics = control.NewMetrics()
	a.cluster.Hooks = append(a.cluster.Hooks, kafka.NewClientMetrics(a.metrics.Registry))
}

// listenControl takes the address of the process's control HTTP, which the groups are told of when they are joined.
func (a *app) listenControl() (err error) {
	if a.listener, err = control.Listen(a.listen); err != nil {
		return err
	}
	a.address = a.listener.Addr().String()
	a.closers = append(a.closers, func() { _ = a.listener.Close() }) // for a start that fails; else it is closed already
	return nil
}

// serveControl answers until ctx ends. Commands find a `freshet dev` by a file in its data directory.
func (a *app) serveControl(ctx context.Context) error {
	served := make(chan struct{})
	go func() {
		defer close(served)
		if err := control.NewServer(a.controlSource(), a.metrics).Serve(ctx, a.listener); err != nil {
			a.log.Error("the control HTTP ended; the flow goes on", "error", err)
		}
	}()
	a.closers = append(a.closers, func() { <-served })
	if !a.embedded {
		return nil
	}
	path := a.addressFile()
	if err := errors.Join(os.WriteFile(path+".new", []byte(a.address), 0o644), os.Rename(path+".new", path)); err != nil {
		return &stream.Error{Op: "write " + path, Kind: stream.Usage, Err: err}
	}
	a.closers = append(a.closers, func() { _ = os.Remove(path) }) // one that stays is noticed: nobody answers there
	return nil
}

func (a *app) addressFile() string { return filepath.Join(a.dataDir, "control.addr") }

func (a *app) controlSource() control.Source {
	s := control.Source{Status: a.status, Loops: a.loops, Missing: a.missing, Stores: control.NoStores{},
		Search: a.searchHere, Rebuild: a.rebuildHere, Forget: a.forgetHere, Retry: a.retryHere, Drop: a.dropHere, Shown: a.shownHere}
	if a.processor != nil {
		s.Stores = a.processor
	}
	w := here{a, s.Stores, func(_ context.Context, t flow.Target) (stream.Sink, func(), error) { return a.delivering(t.Name) }}
	s.Derive, s.Row, s.Held = w.Derive, w.Row, w.Held
	return s
}

func (a *app) partitions() []control.Partition {
	if a.processor == nil {
		return nil
	}
	var out []control.Partition
	for _, p := range a.processor.Status() {
		out = append(out, control.Partition{Partition: p.Partition, State: p.State, Next: p.Next, Error: p.Error, Stats: p.Stats,
			Backlog: p.Backlog, Busy: p.Busy, Parked: p.Parked, Restore: (*control.PartitionRestore)(p.Restore)})
	}
	return out
}

// loops are those that run: the delivery to a target that is waited for at the start is none yet.
func (a *app) loops() (all []control.Loop) {
	if a.processor != nil {
		all = append(all, control.Loop{Name: "processor", Still: a.processor.Pulse.Still()})
	}
	if a.intake != nil {
		all = append(all, control.Loop{Name: "intake", Still: a.intake.Pulse.Still()})
	}
	for _, t := range a.flow.Targets {
		if d := a.delivery(t.Name); d != nil {
			all = append(all, control.Loop{Name: "target " + t.Name, Still: d.Pulse.Still()})
		}
	}
	return all
}

// missing says what keeps this process from its part of the work. A target that is away does not: a restart or another
// replica would not bring it back.
func (a *app) missing() (all []string) {
	if a.processor != nil {
		all = a.processor.Missing()
	}
	if a.intake != nil {
		all = append(all, a.intake.Missing()...)
	}
	for _, t := range a.flow.Targets {
		if d := a.delivery(t.Name); d != nil {
			all = append(all, d.Missing()...)
		}
	}
	return all
}

// status says what the process does. Lags need Kafka; without its answer they stay unknown.
func (a *app) status(ctx context.Context) control.Status {
	s := control.Status{Flow: a.flow.Name, Replica: a.replica, Roles: a.roles, Degraded: a.degraded.list(),
		Counts: a.counts(), Partitions: a.partitions(), Intake: a.intakeStatus(ctx)}
	if a.revision != nil {
		s.Revision = a.revision.Revision
		s.Editions = editionsOf(a.revision.Editions)
	}
	if a.processor != nil {
		m := &a.processor.Metrics
		s.Transactions = control.Transactions{Committed: m.Commits.Load(), Aborted: m.Aborts.Load()}
		s.Restore = control.Restore{Remaining: m.RestoreRemaining.Load(), Records: m.RestoredRecords.Load(), Fetches: m.RestoreFetches.Load()}
		s.Divergences = m.Divergences.Load()
		s.Backfill = (*control.Backfill)(a.processor.Backfill())
		s.Disk = statestore.SizeOf(a.stateDir())
		for _, f := range a.processor.Standbys() {
			s.Standbys = append(s.Standbys, control.Standby(f))
		}
		s.SourceLag = a.sourceLag(ctx, s.Partitions)
	}
	for _, p := range s.Partitions {
		if p.Error != "" {
			s.Degraded = append(s.Degraded, "partition stopped: "+p.Error)
		}
	}
	ends, err := a.cluster.RowsEnds(ctx, a.topics)
	if err != nil {
		ends = nil
	}
	for _, t := range a.flow.Targets {
		if a.delivers(t.Name) {
			s.Targets = append(s.Targets, a.targetStatus(t.Name, ends))
		}
	}
	return s
}

// counts names every node and table, also those that nothing was counted of.
func (a *app) counts() engine.Counts {
	c := a.totals.Snapshot()
	for _, n := range a.flow.Program.Nodes() {
		c.Add(engine.Counts{Nodes: map[string]engine.NodeCount{n: {}}})
	}
	for _, t := range a.flow.Program.Tables() {
		c.Add(engine.Counts{Tables: map[string]engine.TableCount{t.Name: {}}})
	}
	return c
}

// sourceLag is nil while it can't be known: a partition that is being restored does not know where it is.
func (a *app) sourceLag(ctx context.Context, parts []control.Partition) *int64 {
	ends, err := a.cluster.SourceEnds(ctx, a.topics)
	if err != nil {
		return nil
	}
	var lag int64
	for _, p := range parts {
		if p.State == "restoring" {
			return nil
		}
		lag += max(0, ends[p.Partition]-p.Next)
	}
	return &lag
}

// targetStatus says how far a target is; with nil ends its lag is unknown.
func (a *app) targetStatus(name string, ends kafka.Ends) control.Target {
	t := control.Target{Target: name, Of: len(ends)}
	d := a.delivery(name)
	if d == nil {
		return t
	}
	t.Connected, t.Rebuilding = true, d.RebuildAsked()
	var lag int64
	for _, p := range d.Status() {
		t.Partitions = append(t.Partitions, control.TargetPartition(p))
		t.Rebuilding = t.Rebuilding || p.Rebuilding
		lag += max(0, ends[p.Partition]-p.Next)
	}
	slices.SortFunc(t.Partitions, func(x, y control.TargetPartition) int { return int(x.Partition - y.Partition) })
	if ends != nil {
		t.Lag = &lag
	}
	if ns := d.Metrics.FreshnessNanoseconds.Load(); ns != 0 {
		seconds := float64(ns) / 1e9
		t.Freshness = &seconds
	}
	t.Rows, t.Retries, t.Fenced = d.Metrics.Rows.Load(), d.Metrics.Retries.Load(), d.Metrics.Fenced.Load()
	return t
}

func (a *app) rebuildHere(target string, partitions []int32) error {
	d := a.delivery(target)
	if d == nil {
		return control.ErrNotHere
	}
	d.Rebuild(partitions...)
	return nil
}

func (a *app) searchHere(ctx context.Context, q control.SearchQuery) (control.SearchResult, error) {
	sink, release, err := a.delivering(q.Target)
	if err != nil {
		return control.SearchResult{}, err
	}
	defer release()
	return a.searchSink(ctx, sink, q)
}

// delivering is the sink of a target that this process delivers to, which stays open until release is called; else ErrNotHere.
func (a *app) delivering(target string) (sink stream.Sink, release func(), err error) {
	a.searching.RLock()
	a.mu.Lock()
	sink = a.sinks[target]
	a.mu.Unlock()
	if sink == nil {
		a.searching.RUnlock()
		return nil, nil, control.ErrNotHere
	}
	return sink, a.searching.RUnlock, nil
}

// target returns a target of the flow by name.
func (a *app) target(name string) (flow.Target, error) {
	for _, t := range a.flow.Targets {
		if t.Name == name {
			return t, nil
		}
	}
	return flow.Target{}, usagef("flow %s has no target %q; it has: %s", a.flow.Name, name, targetNames(a.flow))
}
