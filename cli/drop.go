package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/freshet-dev/freshet/flow"
	"github.com/freshet-dev/freshet/schemas"
	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/kafka"
)

// leftWithin is how long a drop waits until no replica delivers to the target any more: they look for another revision every 5 s, and Kafka
// notices within 10 s that a static member is gone.
const leftWithin = time.Minute

func dropFlag(cmd *cobra.Command, to *[]string) {
	cmd.Flags().StringSliceVar(to, "drop", nil, "targets that the flow had and no longer has, whose tables are removed there, e.g. target:old; without it they stay as they are")
}

// abandoned are targets to be dropped, as the last revision had them.
type abandoned struct {
	flow   *flow.Flow
	target flow.Target
}

// toDrop finds the targets that are named, among those of recorded revisions, and refuses what can't be dropped.
func (a *app) toDrop(ctx context.Context, named []string) (all []abandoned, err error) {
	if len(named) == 0 {
		return nil, nil
	}
	revisions, err := a.cluster.Revisions(ctx, a.flow.Name)
	if err != nil {
		return nil, err
	}
	for _, name := range named {
		x, err := a.abandoned(revisions, name)
		if err != nil {
			return nil, err
		}
		all = append(all, x)
	}
	return all, nil
}

func (a *app) abandoned(revisions []schemas.Declaration, named string) (x abandoned, err error) {
	name, ok := strings.CutPrefix(named, "target:")
	if !ok {
		return x, usagef("--drop %s: say which target, e.g. target:old", named)
	}
	if has(a.flow, name) {
		return x, usagef("--drop %s: the flow file has target %s still; remove it there", named, name)
	}
	for _, d := range slices.Backward(revisions) {
		old := a.readable(d)
		if old == nil {
			continue
		}
		closeProgram(old)
		if !has(old, name) {
			continue
		}
		if err := old.Roll(alone(d.Editions), nil); err != nil {
			return x, err
		}
		t := old.Targets[slices.IndexFunc(old.Targets, func(t flow.Target) bool { return t.Name == name })]
		return abandoned{old, t}, a.droppable(t)
	}
	return x, usagef("--drop %s: no recorded revision of flow %s that this build can read has target %s", named, a.flow.Name, name)
}

// alone are the editions that a text computes by itself. A sink that is dropped knows the others by their front.
func alone(editions []stream.Edition) []stream.Edition {
	all := slices.Clone(editions)
	for i := range all {
		all[i].Other = 0
	}
	return all
}

func has(f *flow.Flow, target string) bool {
	return slices.ContainsFunc(f.Targets, func(t flow.Target) bool { return t.Name == target })
}

func (a *app) droppable(t flow.Target) error {
	sink, err := a.newSink(t)
	if err != nil {
		return err
	}
	if _, can := sink.(stream.Dropper); !can {
		return usagef("target %s: what a target of kind %s holds is not Freshet's to drop; remove it there yourself", t.Name, t.Kind)
	}
	return sink.Close()
}

// dropTarget removes what an abandoned target holds, once nobody delivers to it.
func (a *app) dropTarget(ctx context.Context, x abandoned) error {
	group := kafka.TargetGroup(a.flow.Name, x.target.Name)
	waiting, stop := context.WithTimeout(ctx, leftWithin)
	defer stop()
	if err := a.cluster.AwaitEmpty(waiting, group); err != nil {
		return fmt.Errorf("target %s is not dropped, since replicas deliver to it still: %w; once they run the revision that is in force, run again: "+
			"freshet apply -f %s --drop target:%s", x.target.Name, err, a.fileName(), x.target.Name)
	}
	sink, err := a.newSink(x.target)
	if err != nil {
		return err
	}
	defer sink.Close() //nolint:errcheck // Drop is durable
	if _, err := sink.Open(ctx, a.flow.Name, x.target.Name); err != nil {
		return err
	}
	if err := sink.(stream.Dropper).Drop(ctx); err != nil { // droppable has seen that it can
		return err
	}
	return a.cluster.ForgetGroup(ctx, group)
}
