package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/freshet-dev/freshet/stream/engine"
)

// awaitEditions returns when every document has been evaluated for all editions, and the targets of tables that roll out hold what came of it;
// else an error that says which do not. A process that does not answer may be taking the revision over.
func (a *app) awaitEditions(ctx context.Context, wait time.Duration) error {
	until := time.Now().Add(wait)
	for {
		behind, err := a.behind(ctx)
		if err == nil && behind == "" {
			return nil
		}
		if a.embedded || time.Now().After(until) {
			if err != nil {
				return err
			}
			return &exit{exitFailed, "nothing was done: " + behind}
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// behind says what is not caught up; "" when all is.
func (a *app) behind(ctx context.Context) (string, error) {
	if a.embedded {
		return a.behindHere()
	}
	o, err := a.overview(ctx)
	if err != nil {
		return "", err
	}
	if why := o.unevaluated(a.revision.Revision, int(a.topics.Partitions)); why != "" {
		return why, nil
	}
	ends, err := a.cluster.RowsEnds(ctx, a.topics)
	if err != nil {
		return "", err
	}
	if o, err = a.overview(ctx); err != nil {
		return "", err
	}
	for _, t := range a.flow.Targets {
		if len(a.fronts(t)) == 0 {
			continue
		}
		if why := o.undelivered(t.Name, ends); why != "" {
			return why, nil
		}
	}
	return "", nil
}

// behindHere says what is not evaluated of a flow that `freshet dev` ran, by the states on this machine.
func (a *app) behindHere() (string, error) {
	local, err := a.openLocal()
	if err != nil {
		return "", err
	}
	defer local.close()
	for _, id := range local.Held() {
		at, _, err := local[id].Checkpoint()
		if err != nil {
			return "", err
		}
		stats, err := engine.ReadStats(local[id])
		if err != nil {
			return "", err
		}
		if stats.Documents > 0 && at.Revision != a.flow.Program.Logic() {
			return "documents wait to be evaluated; run `freshet dev --once` first", nil
		}
	}
	return "", nil
}

// overview asks all processes.
func (a *app) overview(ctx context.Context) (o overview, err error) {
	running, unreachable, err := a.processes(ctx)
	if err != nil {
		return o, err
	}
	o = overview{Flow: a.flow.Name, Running: len(running) > 0, Unreachable: unreachable}
	return o, o.gather(ctx, a, running, localStores{})
}

// unevaluated says why some documents may not have been evaluated by a revision.
func (o *overview) unevaluated(revision int64, partitions int) string {
	ready, parked := 0, int64(0)
	for _, p := range o.Partitions {
		if p.State == "ready" && p.Backlog == 0 {
			ready++
		}
		parked += int64(p.Parked)
	}
	switch {
	case !o.Running:
		return "no process of the flow runs"
	case len(o.Revisions) != 1 || o.Revisions[0] != revision:
		return fmt.Sprintf("not all processes run revision %d yet", revision)
	case o.Backfill != nil && o.Backfill.Left > 0:
		return fmt.Sprintf("%d documents wait to be evaluated", o.Backfill.Left)
	case ready < partitions:
		return fmt.Sprintf("%d of %d partitions are processed and have no backlog", ready, partitions)
	case parked > 0:
		return fmt.Sprintf("%d documents wait for a service that failed them; `freshet documents list --parked` names them", parked)
	}
	return ""
}

// undelivered says why a target may lack rows below these ends.
func (o *overview) undelivered(target string, ends map[int32]int64) string {
	reached := map[int32]int64{}
	for _, r := range o.Replicas {
		for _, t := range r.Targets {
			if t.Target != target {
				continue
			}
			for _, p := range t.Partitions {
				if !p.Rebuilding {
					reached[p.Partition] = max(reached[p.Partition], p.Next)
				}
			}
		}
	}
	lag := int64(0)
	for p, end := range ends {
		lag += max(0, end-reached[p])
	}
	if lag > 0 {
		return fmt.Sprintf("target %s is behind by %d records, or being rebuilt, or nobody delivers to it", target, lag)
	}
	return ""
}
