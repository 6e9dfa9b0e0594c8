package cli

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/freshet-dev/freshet/control"
	"github.com/freshet-dev/freshet/flow"
	"github.com/freshet-dev/freshet/schemas"
	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/kafka"
)

// roll makes the flow compute the editions that its tables have in the revision in force.
func (a *app) roll(ctx context.Context) error {
	if a.revision == nil {
		return nil
	}
	return a.rollOut(ctx, a.revision.Editions)
}

// rollOut makes the flow compute these editions. Those of other revisions are computed by the texts that are recorded, where
// this build makes the same of them.
func (a *app) rollOut(ctx context.Context, editions []stream.Edition) error {
	if len(editions) == 0 || a.rolled == a.flow {
		return nil
	}
	earlier := map[int64]*flow.Flow{}
	for _, e := range editions {
		if e.Other == 0 {
			continue
		}
		d, err := a.earlier(ctx, e.Other)
		if err != nil {
			return err
		}
		if earlier[e.Other] == nil {
			if earlier[e.Other], err = a.loadText(d); err != nil {
				return err
			}
		}
		was, err := declarationOf(d)
		if err != nil {
			return err
		}
		if logicOf(earlier[e.Other].Declaration(), e.Table) != logicOf(was, e.Table) {
			return &unable{a.revision.Revision, "table " + e.Table + " of revision " + strconv.FormatInt(e.Other, 10) + ", which is kept beside it, comes to another logic here"}
		}
	}
	if err := a.flow.Roll(editions, earlier); err != nil {
		return err
	}
	a.rolled = a.flow
	return nil
}

// logicOf is what a table comes to; "" when there is none.
func logicOf(d flow.Declaration, table string) string {
	i := slices.IndexFunc(d.Tables, func(p flow.Part) bool { return p.Name == table })
	if i < 0 {
		return ""
	}
	return d.Tables[i].Logic
}

// editions are those of the tables when the flow becomes a revision.
func (a *app) editions(ctx context.Context, now flow.Declaration, before *schemas.Declaration, revision int64) ([]stream.Edition, error) {
	var was flow.Declaration
	var had []stream.Edition
	if before != nil {
		var err error
		if was, err = declarationOf(*before); err != nil {
			return nil, err
		}
		had = before.Editions
	}
	return now.Editions(was, had, revision, func(revision int64, table string) (string, error) {
		d, err := a.earlier(ctx, revision)
		if err != nil {
			return "", err
		}
		then, err := declarationOf(d)
		return logicOf(then, table), err
	})
}

// foreseeEditions makes the flow compute the editions that its tables would have if it were the revision after one.
func (a *app) foreseeEditions(ctx context.Context, before *schemas.Declaration) error {
	a.revision = before
	next, err := a.editions(ctx, a.flow.Declaration(), before, before.Revision+1)
	if err != nil {
		return err
	}
	return a.rollOut(ctx, next)
}

// editionsOf says what targets show, for status.
func editionsOf(editions []stream.Edition) (all []control.Edition) {
	for _, e := range editions {
		shown := control.Edition{Table: e.Table, Shown: stream.EditionName(e.Table, e.Shown)}
		for _, n := range e.Names() {
			if n != shown.Shown {
				shown.Beside = n
			}
		}
		all = append(all, shown)
	}
	return all
}

// editionOf is the table that is meant by a declared table's name: the edition that readers see.
func (a *app) editionOf(table string) string {
	if a.revision == nil || a.rolled == nil {
		return table
	}
	for _, e := range a.revision.Editions {
		if e.Table == table {
			return stream.EditionName(table, e.Shown)
		}
	}
	return table
}

// rolls reports whether tables of the flow roll out.
func (a *app) rolls() bool {
	return slices.ContainsFunc(a.flow.Declaration().Tables, func(t flow.Part) bool { return t.Rolls })
}

// fronts are the tables that the fronts of a target are to show.
func (a *app) fronts(t flow.Target) (tables []string) {
	if a.revision == nil {
		return nil
	}
	for _, kept := range t.Config.Tables {
		for _, e := range a.revision.Editions {
			if kept.Front != "" && kept.Table.Name == stream.EditionName(e.Table, e.Shown) {
				tables = append(tables, kept.Table.Name)
			}
		}
	}
	return tables
}

// show has the fronts of an open target show what the revision in force says, unless that is no more the one that this process runs.
func (a *app) show(ctx context.Context, t flow.Target, sink stream.Sink) error {
	tables := a.fronts(t)
	if len(tables) == 0 {
		return nil
	}
	recorded, err := a.recordedNow(ctx)
	if err != nil {
		return err
	}
	if d := recorded.Declaration; d != nil && d.Revision != a.revision.Revision {
		return &stream.Error{Op: "show tables of target " + t.Name, Kind: stream.Usage, Err: &kafka.Outdated{Runs: a.revision.Revision, Found: d.Revision}}
	}
	fronter, ok := sink.(stream.Fronter)
	if !ok {
		return errors.New("target " + t.Name + " has no fronts")
	}
	return fronter.Show(ctx, tables)
}

// recordedNow reads which revision is in force while everything runs: brokers that are away are back some time.
func (a *app) recordedNow(ctx context.Context) (kafka.Recorded, error) {
	within, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	r, err := a.cluster.Recorded(within, a.flow.Name)
	if err != nil && stream.KindOf(err) != stream.Usage {
		err = &stream.Error{Op: "read which revision of the flow is in force", Kind: stream.Transient, Err: err}
	}
	return r, err
}

// retireAfter is how long editions that are declared no more stay in targets: until no process can be left that writes to them.
const retireAfter = 30 * time.Second

// retire drops from a target what was an edition, a while after the start.
func (a *app) retire(ctx context.Context, t flow.Target, sink stream.Sink) {
	fronter, ok := sink.(stream.Fronter)
	if !ok || len(a.fronts(t)) == 0 {
		return
	}
	select {
	case <-time.After(retireAfter):
	case <-ctx.Done():
		return
	}
	if err := fronter.Retire(ctx); err != nil && ctx.Err() == nil {
		a.log.Warn("tables that were editions are not dropped; it is tried again at the next start", "target", t.Name, "error", err)
	}
}
