package cli

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/freshet-dev/freshet/stream/kafka"
)

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }

// awaitCaughtUp returns when all that this process does has nothing left to do: files scanned, sources taken in and processed, nothing
// pending, every target at the end of the rows topic.
func (a *app) awaitCaughtUp(ctx context.Context) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		done, err := a.caughtUp(ctx)
		if err != nil || done {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (a *app) caughtUp(ctx context.Context) (bool, error) {
	for _, w := range a.watchers {
		if !w.scanned.Load() {
			return false, nil
		}
	}
	if done, err := a.takenIn(ctx); !done || err != nil {
		return false, err
	}
	if a.processor != nil {
		if done, err := a.processed(ctx); !done || err != nil {
			return false, err
		}
	}
	return a.delivered(ctx)
}

// processed reports whether the processor has read its source to the end and nothing is pending.
func (a *app) processed(ctx context.Context) (bool, error) {
	ends, err := a.cluster.SourceEnds(ctx, a.topics)
	if err != nil {
		return false, err
	}
	parts := a.processor.Status()
	if len(parts) < len(ends) {
		return false, nil
	}
	for _, p := range parts {
		if p.State == "stopped" {
			return false, &exit{exitFailed, "partition " + p.Error}
		}
		if p.State != "ready" || p.Busy || p.Next < ends[p.Partition] {
			return false, nil
		}
	}
	return true, nil
}

// delivered reports whether every target of this process is at the end of the rows topic.
func (a *app) delivered(ctx context.Context) (bool, error) {
	ends, err := a.cluster.RowsEnds(ctx, a.topics)
	if err != nil {
		return false, err
	}
	for _, t := range a.flow.Targets {
		if !a.delivers(t.Name) {
			continue
		}
		d := a.delivery(t.Name)
		if d == nil || !atEnd(d, ends) {
			return false, nil
		}
	}
	return true, nil
}

func (a *app) delivery(target string) *kafka.Delivery {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.deliveries[target]
}

func atEnd(d *kafka.Delivery, ends kafka.Ends) bool {
	parts := d.Status()
	if len(parts) < len(ends) || d.RebuildAsked() {
		return false
	}
	for _, p := range parts {
		if p.Rebuilding || p.Next < ends[p.Partition] {
			return false
		}
	}
	return true
}
