package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/freshet-dev/freshet/control"
	"github.com/freshet-dev/freshet/flow"
	"github.com/freshet-dev/freshet/schemas"
	"github.com/freshet-dev/freshet/stream"
)

// switched is what `promote --json`, `rollback --json` and `retire --json` print.
type switched struct {
	Flow     string            `json:"flow"`
	Revision int64             `json:"revision"`         // in force now
	Tables   map[string]string `json:"tables"`           // what readers see, by declared table
	Targets  []string          `json:"targets"`          // that show it
	Later    []string          `json:"later,omitempty"`  // that will, when a process delivers to them
	Changed  bool              `json:"changed"`          // false: it was so already
	Waited   float64           `json:"waited,omitempty"` // seconds until the targets had caught up
}

// switching is one of the commands that say which editions are kept, and which are shown.
type switching struct {
	use, short, long, question string
	caughtUp                   bool // the targets are to hold all of what they then show
	change                     func(e stream.Edition) (stream.Edition, error)
}

var (
	promotion = switching{"promote", "Show the new editions of tables that roll out blue-green",
		"After a change of a table with `rollout: blue-green` the new edition is built beside the one that targets show. When no document waits for it any " +
			"more, and every target holds all of its rows, this makes all targets show it: each in one step, within seconds of each other. The edition " +
			"before is kept fresh, so that `freshet rollback` can show it again at once, until `freshet retire` or another change. Without TABLE all tables are meant.",
		"show the new edition of", true,
		func(e stream.Edition) (stream.Edition, error) { e.Shown = e.Now; return e, nil }}
	rolling = switching{"rollback", "Show the former editions of tables again",
		"Make all targets show the edition of a table that they showed before `freshet promote`. It was kept fresh meanwhile, so nothing is computed; " +
			"the new edition stays beside it. Without TABLE all tables are meant that have two editions.",
		"show the former edition of", true,
		func(e stream.Edition) (stream.Edition, error) {
			if e.Other != 0 {
				e.Shown = e.Other
			}
			return e, nil
		}}
	retirement = switching{"retire", "Give up the editions of tables that targets do not show",
		"Keep only the edition of a table that targets show: the other is computed no more, and its rows and its tables in the targets are dropped. Going " +
			"back to it takes another `freshet apply`. Without TABLE all tables are meant.",
		"drop the edition that is not shown of", false,
		func(e stream.Edition) (stream.Edition, error) {
			if e.Other == 0 {
				return e, nil
			}
			if e.Shown != e.Now {
				return e, usagef("table %s: the edition that is not shown is what the flow file says; to give it up, apply revision %d again first, "+
					"or promote it", e.Table, e.Other)
			}
			e.Other = 0
			return e, nil
		}}
)

// newSwitch is `freshet promote`, `rollback` or `retire`.
func newSwitch(c *common, s switching) *cobra.Command {
	var yes, asJSON bool
	var wait time.Duration
	cmd := &cobra.Command{Use: s.use + " -f FLOW [TABLE...]", Short: s.short, Long: s.long}
	find := c.siteFlags(cmd)
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	cmd.Flags().DurationVar(&wait, "wait", 30*time.Second, "how long to wait for targets that have not caught up, and for those that have not switched")
	cmd.RunE = func(cmd *cobra.Command, tables []string) error {
		a, err := find()
		if err != nil {
			return err
		}
		defer a.close()
		done, err := a.switchTo(cmd.Context(), s, tables, wait, func(what []string) bool {
			return yes || switchConfirmed(cmd.InOrStdin(), cmd.ErrOrStderr(), a.flow.Name, what)
		})
		if err != nil {
			return err
		}
		if asJSON {
			return json.NewEncoder(cmd.OutOrStdout()).Encode(done)
		}
		return done.print(cmd.OutOrStdout())
	}
	return cmd
}

// switchConfirmed asks for the flow's name.
func switchConfirmed(in io.Reader, out io.Writer, name string, what []string) bool {
	fmt.Fprintf(out, "flow %s: %s\nType the flow's name to go on: ", name, strings.Join(what, ", "))
	return answered(in, name)
}

func (d switched) print(out io.Writer) error {
	var text strings.Builder
	if !d.Changed {
		text.WriteString("it is so already\n")
	}
	for _, table := range sortedKeys(d.Tables) {
		fmt.Fprintf(&text, "table %s shows %s\n", table, d.Tables[table])
	}
	if len(d.Later) > 0 {
		fmt.Fprintf(&text, "not switched yet, but as soon as a process delivers to it and it is there: target %s\n", strings.Join(d.Later, ", "))
	}
	_, err := io.WriteString(out, text.String())
	return err
}

// switchTo records other editions as the next revision, and waits until the targets show them.
func (a *app) switchTo(ctx context.Context, s switching, tables []string, wait time.Duration, agreed func(what []string) bool) (done switched, err error) {
	if err := a.reachRows(ctx); err != nil {
		return done, err
	}
	if a.revision == nil {
		return done, usagef("flow %s has not run yet", a.flow.Name)
	}
	next := *a.revision
	if next.Editions, err = changedEditions(a.revision.Editions, tables, s); err != nil {
		return done, err
	}
	done = switched{Flow: a.flow.Name, Revision: a.revision.Revision, Tables: shownTables(next.Editions), Targets: []string{}}
	if done.Changed = !slices.Equal(next.Editions, a.revision.Editions); done.Changed {
		if !agreed(what(s, a.revision.Editions, next.Editions)) {
			return done, usagef("nothing was done; answer with the flow's name, or say --yes")
		}
		began := time.Now()
		if s.caughtUp {
			if err := a.awaitEditions(ctx, wait); err != nil {
				return done, err
			}
		}
		done.Waited = time.Since(began).Seconds()
		next.Revision, next.Created = next.Revision+1, began.UnixNano()
		if err := a.cluster.Record(ctx, a.flow.Name, next); err != nil {
			return done, err
		}
		done.Revision = next.Revision
	}
	done.Targets, done.Later, err = a.awaitShown(ctx, next, wait)
	return done, err
}

// changedEditions are the editions after the change of those that are meant.
func changedEditions(before []stream.Edition, tables []string, s switching) ([]stream.Edition, error) {
	if len(before) == 0 {
		return nil, usagef("no table of the flow rolls out; a table with `rollout: blue-green` does")
	}
	for _, t := range tables {
		if !slices.ContainsFunc(before, func(e stream.Edition) bool { return e.Table == t }) {
			return nil, usagef("no table %q rolls out; those that do: %s", t, strings.Join(sortedKeys(shownTables(before)), ", "))
		}
	}
	after := slices.Clone(before)
	for i, e := range before {
		if len(tables) > 0 && !slices.Contains(tables, e.Table) {
			continue
		}
		var err error
		if after[i], err = s.change(e); err != nil {
			return nil, err
		}
	}
	return after, nil
}

// what says what a change of editions comes to.
func what(s switching, before, after []stream.Edition) (texts []string) {
	for _, table := range switchedTables(before, after) {
		texts = append(texts, s.question+" table "+table)
	}
	return texts
}

// switchedTables are the tables whose editions a change concerns.
func switchedTables(before, after []stream.Edition) (tables []string) {
	for i := range after {
		if after[i] != before[i] {
			tables = append(tables, after[i].Table)
		}
	}
	return tables
}

// shownTables are the tables that readers see, by declared table.
func shownTables(editions []stream.Edition) map[string]string {
	shown := map[string]string{}
	for _, e := range editions {
		shown[e.Table] = stream.EditionName(e.Table, e.Shown)
	}
	return shown
}

// awaitShown waits until the processes say that the targets show what a revision says; those that don't in time will later.
func (a *app) awaitShown(ctx context.Context, d schemas.Declaration, wait time.Duration) (shown, later []string, err error) {
	if a.embedded {
		wait = 0 // nothing runs
	}
	until := time.Now().Add(wait)
	for {
		running, _, err := a.processes(ctx)
		if err != nil {
			return nil, nil, err
		}
		shown, later = []string{}, nil
		for _, t := range a.flow.Targets {
			switch {
			case len(a.fronts(t)) == 0:
			case showing(ctx, running, t, d):
				shown = append(shown, t.Name)
			default:
				later = append(later, t.Name)
			}
		}
		if len(later) == 0 || time.Now().After(until) {
			return shown, later, nil
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		}
	}
}

// showing reports whether a process that runs the revision delivers to the target, whose fronts it has switched then.
func showing(ctx context.Context, running []*control.Client, t flow.Target, d schemas.Declaration) bool {
	for _, c := range running {
		s, err := c.Status(ctx)
		if err == nil && s.Revision == d.Revision && s.Delivers(t.Name) {
			return true
		}
	}
	return false
}
