package cli

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/freshet-dev/freshet/schemas"
	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/kafka"
)

// outlived returns the present editions of a flow, of which all its revisions are given, in order, without those that no
// target has shown for longer than keep. due is when the next one has to go; zero: none has to.
//
// An edition is kept from the revision that promoted the other for as long as nothing is said of the table.
func outlived(revisions []schemas.Declaration, keep time.Duration, now time.Time) (kept []stream.Edition, due time.Time) {
	if len(revisions) == 0 || keep == 0 {
		return nil, due
	}
	kept = slices.Clone(revisions[len(revisions)-1].Editions)
	for i, e := range kept {
		if e.Other == 0 || e.Shown != e.Now {
			continue
		}
		var promoted int64
		for _, d := range slices.Backward(revisions) {
			if !slices.Contains(d.Editions, e) {
				break
			}
			promoted = d.Created
		}
		switch ends := time.Unix(0, promoted).Add(keep); {
		case !ends.After(now):
			kept[i].Other = 0
		case due.IsZero() || ends.Before(due):
			due = ends
		}
	}
	return kept, due
}

const (
	lookAgain  = time.Hour        // clocks are set
	retryAgain = 10 * time.Second // when the brokers are away
)

// retireOutlived gives up editions whose retention is over, as `freshet retire` does: that is a revision, which this process then takes over like
// any other (kind Usage, wrapping *kafka.Outdated).
func (a *app) retireOutlived(ctx context.Context) error {
	if !slices.ContainsFunc(a.revision.Editions, func(e stream.Edition) bool { return e.Other != 0 && e.Shown == e.Now }) {
		return nil
	}
	for {
		wait, err := a.retireDue(ctx)
		if err != nil && stream.KindOf(err) == stream.Usage {
			return err
		}
		if err != nil && ctx.Err() == nil {
			a.log.Warn("whether the former edition of a table can go is not known; it is tried again", "error", err)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil
		}
	}
}

// retireDue does it once, and says when to look again.
func (a *app) retireDue(ctx context.Context) (time.Duration, error) {
	revisions, err := a.cluster.Revisions(ctx, a.flow.Name)
	if err != nil {
		return retryAgain, err
	}
	now := time.Now()
	kept, due := outlived(revisions, a.flow.State.RollbackRetention, now)
	present := revisions[len(revisions)-1]
	if kept == nil || present.Revision != a.revision.Revision || slices.Equal(kept, present.Editions) {
		if wait := due.Sub(now); !due.IsZero() && wait < lookAgain {
			return wait, nil
		}
		return lookAgain, nil
	}
	next := present
	next.Revision, next.Created, next.Editions = present.Revision+1, now.UnixNano(), kept
	if err := a.cluster.Record(ctx, a.flow.Name, next); err != nil {
		return retryAgain, err
	}
	a.log.Info("the rollback_retention is over: editions that targets do not show are given up", "revision", next.Revision,
		"tables", strings.Join(switchedTables(present.Editions, kept), ", "))
	return 0, &stream.Error{Op: "give up editions", Kind: stream.Usage, Err: &kafka.Outdated{Runs: present.Revision, Found: next.Revision}}
}
