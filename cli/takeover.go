package cli

import (
	"context"
	"errors"

	"github.com/freshet-dev/freshet/schemas"
	"github.com/freshet-dev/freshet/stream/kafka"
)

// serveRevisions runs the revision of the flow that is in force, and the next one when another is.
func serveRevisions(ctx context.Context, o options, once bool) (r Report, err error) {
	for took := false; ; took = true {
		a, err := newApp(o)
		if err != nil {
			return r, err
		}
		if !took {
			a.warn()
		}
		r, err = a.serve(ctx, once)
		var outdated *kafka.Outdated
		var other *unable
		switch {
		case ctx.Err() != nil:
			return r, nil
		case errors.As(err, &outdated):
			o.log.Warn("another revision of the flow is in force; it is taken over", "flow", a.flow.Name, "ran", outdated.Runs, "revision", outdated.Found)
		case took && errors.As(err, &other):
			if err := yielding(ctx, o, other); err != nil || ctx.Err() != nil {
				return r, err
			}
		default:
			return r, err
		}
	}
}

// yielding waits, without a part in the flow's work, until a revision is in force that may be run here. Its status, which commands still find, says
// why it yields.
func yielding(ctx context.Context, o options, why *unable) error {
	o.log.Error("this replica yields to others until it can run the flow again", "error", why)
	o.roles = nil
	a, err := newApp(o)
	if err != nil {
		return err
	}
	defer a.close()
	a.degraded.why = map[string]string{"revision": why.Error()}
	if err := a.listenControl(); err != nil {
		return err
	}
	if err := a.connect(ctx); err != nil {
		return err
	}
	serving, stop := context.WithCancel(ctx)
	defer stop()
	if err := a.serveControl(serving); err != nil {
		return err
	}
	leave, err := a.cluster.Yield(a.flow.Name, a.address)
	if err != nil {
		return err
	}
	defer leave(ctx)
	recorded, err := a.cluster.Recorded(ctx, a.flow.Name)
	if err != nil || recorded.Declaration == nil || recorded.Declaration.Revision != why.revision {
		return err
	}
	err = a.cluster.Follow(ctx, a.flow.Name, *recorded.Declaration, func(schemas.Backfill) {})
	if outdated := (*kafka.Outdated)(nil); errors.As(err, &outdated) {
		return nil
	}
	return err
}
