package cli

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/freshet-dev/freshet/flow"
	"github.com/freshet-dev/freshet/internal/history"
	"github.com/freshet-dev/freshet/stream"
)

// again publishes the last state once more, to a new process on the replay's state.
func (b *historyBench) again(ctx context.Context, out *history.Again) (err error) {
	p, err := b.start(ctx, b.dataDir, b.into)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Stop()) }()
	before, err := p.RowsEnd(ctx)
	if err != nil {
		return err
	}
	last := b.replay.Last()
	if err := publishAndSettle(ctx, p, last); err != nil {
		return err
	}
	after, err := p.RowsEnd(ctx)
	out.Documents, out.Rows = int64(len(last)), after-before
	for _, n := range p.Counts().Nodes {
		out.Computed += n.Computed
	}
	return err
}

func publishAndSettle(ctx context.Context, p history.Process, records []stream.Record) error {
	if err := p.Publish(ctx, records); err != nil {
		return err
	}
	return p.Settle(ctx)
}

// compare builds every target from the last state alone, in a fresh directory, and compares.
func (b *historyBench) compare(ctx context.Context, out *history.Check) error {
	dir := filepath.Join(b.dataDir, "scratch")
	twins := make([]flow.Target, len(b.into))
	for i, t := range b.into {
		twins[i] = inSQLite(t, dir)
	}
	failed, err := b.scratch(ctx, dir, twins)
	if err != nil {
		return err
	}
	without := out.Quarantine(b.replay.Failed(), failed)
	for i, t := range b.into {
		err := b.read(ctx, t, func(replayed stream.Reader) error {
			return b.read(ctx, twins[i], func(built stream.Reader) error {
				return compareTables(ctx, t, replayed, built, without, out)
			})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// scratch builds the targets, and returns which documents can't be processed.
func (b *historyBench) scratch(ctx context.Context, dir string, into []flow.Target) (failed []string, err error) {
	p, err := b.start(ctx, dir, into)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.Stop()) }()
	if err := publishAndSettle(ctx, p, b.replay.Last()); err != nil {
		return nil, err
	}
	return p.Quarantined()
}

func compareTables(ctx context.Context, t flow.Target, replayed, built stream.Reader, without []string, out *history.Check) error {
	for _, kept := range t.Config.Tables {
		d, err := history.Compare(ctx, kept.Table.Name, replayed, built, without)
		if err != nil {
			return err
		}
		out.Tables[t.Name+"."+kept.Table.Name] = d
	}
	return nil
}
