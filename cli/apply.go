package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/freshet-dev/freshet/flow"
	"github.com/freshet-dev/freshet/schemas"
)

// applied is what `apply --json` prints.
type applied struct {
	Flow     string   `json:"flow"`
	Revision int64    `json:"revision"` // in force now
	Recorded bool     `json:"recorded"` // false: it was in force already
	Changes  []string `json:"changes"`  // against the revision before, targets included
}

// newApply is `freshet apply`.
func newApply(c *common) *cobra.Command {
	var yes, asJSON bool
	var revision int64
	var rate float64
	cmd := &cobra.Command{
		Use:   "apply -f FLOW",
		Short: "Make a changed flow file the revision that all replicas run",
		Long: "Record the flow file as the flow's next revision. Replicas take it over within seconds: documents that it changes are evaluated " +
			"again from their stored input, behind live changes, and only what the change affects is computed; `freshet plan` says before what " +
			"that is, `freshet status` how far it is, `freshet backfill` slows it down. With --revision an earlier revision is recorded once more: " +
			"what it computed is found again while its results are kept. `freshet dev` takes its file over by itself.",
		Args: cobra.NoArgs,
	}
	find := c.siteFlags(cmd)
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	cmd.Flags().Int64Var(&revision, "revision", 0, "take the text of this earlier revision instead of the flow file")
	cmd.Flags().Float64Var(&rate, "rate", 0, "documents a second to evaluate again, over all replicas (default: as fast as it goes)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		a, err := find()
		if err != nil {
			return err
		}
		defer a.close()
		if rate < 0 {
			return usagef("--rate %g: say documents a second", rate)
		}
		done, err := a.apply(cmd.Context(), revision, schemas.Backfill{Rate: rate}, a.approval(cmd, yes))
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

// approval asks whether changes may be made, unless that was said already.
func (a *app) approval(cmd *cobra.Command, yes bool) func(changes []string) bool {
	return func(changes []string) bool {
		return yes || approved(cmd.InOrStdin(), cmd.ErrOrStderr(), a.flow.Name, changes)
	}
}

// approved shows the changes and asks for the flow's name.
func approved(in io.Reader, out io.Writer, name string, changes []string) bool {
	fmt.Fprintf(out, "flow %s:\n", name)
	for _, c := range changes {
		fmt.Fprintln(out, "  "+c)
	}
	fmt.Fprint(out, "`freshet plan` says what this costs. Type the flow's name to go on: ")
	return answered(in, name)
}

func (d applied) print(out io.Writer) error {
	text := fmt.Sprintf("flow %s: revision %d is in force already\n", d.Flow, d.Revision)
	if d.Recorded {
		text = fmt.Sprintf("flow %s: revision %d is in force; replicas take it over within seconds\n", d.Flow, d.Revision)
	}
	_, err := io.WriteString(out, text)
	return err
}

// apply records the flow file, or an earlier revision, as the next revision.
func (a *app) apply(ctx context.Context, earlier int64, pace schemas.Backfill, agreed func(changes []string) bool) (done applied, err error) {
	if a.embedded {
		return done, usagef("`freshet dev` takes the flow file over by itself, as soon as it starts")
	}
	if err := a.reachTopics(ctx); err != nil {
		return done, err
	}
	now, was, err := a.recorded(ctx)
	if err != nil {
		return done, err
	}
	next := schemas.Declaration{Revision: now.Declaration.Revision + 1, Created: time.Now().UnixNano()}
	if earlier == 0 {
		next.Text, err = a.text()
	} else {
		var d schemas.Declaration
		d, err = a.earlier(ctx, earlier)
		next.Text = d.Text
	}
	if err != nil {
		return done, err
	}
	if earlier != 0 {
		if a.flow, err = a.loadText(schemas.Declaration{Revision: earlier, Text: next.Text}); err != nil {
			return done, err
		}
	}
	declared := a.flow.Declaration()
	if next.Body, err = json.Marshal(declared); err != nil {
		return done, err
	}
	done = applied{Flow: a.flow.Name, Revision: now.Declaration.Revision, Changes: changesOf(declared, was)}
	if bytes.Equal(next.Body, now.Declaration.Body) && (earlier != 0 || now.Declaration.Text != nil) {
		return done, nil
	}
	if err := a.renamed(was); err != nil {
		return done, err
	}
	if next.Editions, err = a.editions(ctx, declared, now.Declaration, next.Revision); err != nil {
		return done, err
	}
	if !agreed(done.Changes) {
		return done, usagef("nothing was done; to apply the change of flow %s, answer with its name, or say --yes", a.flow.Name)
	}
	if err := a.cluster.SetBackfill(ctx, a.flow.Name, pace); err != nil {
		return done, err
	}
	done.Revision, done.Recorded = next.Revision, true
	return done, a.cluster.Record(ctx, a.flow.Name, next)
}

// changesOf are all changes between two declarations; a change that alters no row is said in general.
func changesOf(now, was flow.Declaration) []string {
	changes := slices.Concat(now.Changed(was), now.ChangedTargets(was))
	if len(changes) == 0 {
		changes = []string{"names, or the order of things; no row changes"}
	}
	return changes
}

// earlier is a revision that was in force, with its text.
func (a *app) earlier(ctx context.Context, revision int64) (d schemas.Declaration, err error) {
	all, err := a.cluster.Revisions(ctx, a.flow.Name)
	if err != nil {
		return d, err
	}
	i := slices.IndexFunc(all, func(d schemas.Declaration) bool { return d.Revision == revision })
	if i < 0 || all[i].Text == nil {
		return d, usagef("flow %s has no record of revision %d; `freshet revisions -f %s` lists those that are kept", a.flow.Name, revision, a.fileName())
	}
	return all[i], nil
}
