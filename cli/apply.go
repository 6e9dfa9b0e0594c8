package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
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

	Destroyed []string `json:"destroyed"` // of them, what was named with --destroy
	Dropped   []string `json:"dropped"`   // what was named with --drop
}

// change is what is to be applied.
type change struct {
	earlier       int64 // the revision whose text is taken; 0: the flow file
	pace          schemas.Backfill
	destroy, drop []string
	command       string // to be typed again with more names
	agreed        func(changes []string) bool
}

// newApply is `freshet apply`.
func newApply(c *common) *cobra.Command {
	var yes, asJSON bool
	var rate float64
	var ch change
	cmd := &cobra.Command{
		Use:   "apply -f FLOW",
		Short: "Make a changed flow file the revision that all replicas run",
		Long: "Record the flow file as the flow's next revision. Replicas take it over within seconds: documents that it changes are evaluated " +
			"again from their stored input, behind live changes, and only what the change affects is computed; `freshet plan` says before what " +
			"that is, `freshet status` how far it is, `freshet backfill` slows it down. A change that destroys what targets hold, such as a column " +
			"that is removed, is refused unless each such thing is named with --destroy. A target that is removed keeps what it holds, unless it is named with --drop. " +
			"With --revision an earlier revision is recorded once more: " +
			"what it computed is found again while its results are kept. `freshet dev` takes its file over by itself.",
		Args: cobra.NoArgs,
	}
	find := c.siteFlags(cmd)
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	cmd.Flags().Int64Var(&ch.earlier, "revision", 0, "take the text of this earlier revision instead of the flow file")
	cmd.Flags().Float64Var(&rate, "rate", 0, "documents a second to evaluate again, over all replicas (default: as fast as it goes)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	destroyFlag(cmd, &ch.destroy)
	dropFlag(cmd, &ch.drop)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		a, err := find()
		if err != nil {
			return err
		}
		defer a.close()
		if rate < 0 {
			return usagef("--rate %g: say documents a second", rate)
		}
		ch.pace, ch.command, ch.agreed = schemas.Backfill{Rate: rate}, "freshet apply -f "+a.fileName(), a.approval(cmd, yes)
		if ch.earlier != 0 {
			ch.command += fmt.Sprint(" --revision ", ch.earlier)
		}
		done, err := a.apply(cmd.Context(), ch)
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
	for _, name := range d.Dropped {
		text += name + " is dropped\n"
	}
	_, err := io.WriteString(out, text)
	return err
}

// apply records the flow file, or an earlier revision, as the next revision, and drops the targets that are named.
func (a *app) apply(ctx context.Context, ch change) (done applied, err error) {
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
	next, err := a.next(ctx, now.Declaration.Revision+1, ch.earlier)
	if err != nil {
		return done, err
	}
	declared := a.flow.Declaration()
	done = applied{Flow: a.flow.Name, Revision: now.Declaration.Revision, Changes: changesOf(declared, was), Destroyed: []string{}, Dropped: []string{}}
	leaving, err := a.toDrop(ctx, ch.drop)
	if err != nil {
		return done, err
	}
	if !bytes.Equal(next.Body, now.Declaration.Body) || ch.earlier == 0 && now.Declaration.Text == nil {
		if next.Editions, err = a.editions(ctx, declared, now.Declaration, next.Revision); err != nil {
			return done, err
		}
		if err := a.takes(ctx, ch, *now.Declaration, was, &done); err != nil {
			return done, err
		}
		if err := a.cluster.SetBackfill(ctx, a.flow.Name, ch.pace); err != nil {
			return done, err
		}
		if err := a.cluster.Record(ctx, a.flow.Name, next); err != nil {
			return done, err
		}
		done.Revision, done.Recorded = next.Revision, true
	}
	for i, x := range leaving {
		if err := a.dropTarget(ctx, x); err != nil {
			return done, err
		}
		done.Dropped = append(done.Dropped, ch.drop[i])
	}
	return done, nil
}

// next is the revision that would be recorded; with an earlier one's text the flow is that one from now on.
func (a *app) next(ctx context.Context, revision, earlier int64) (next schemas.Declaration, err error) {
	next = schemas.Declaration{Revision: revision, Created: time.Now().UnixNano()}
	if earlier == 0 {
		if next.Text, err = a.text(); err != nil {
			return next, err
		}
	} else {
		d, err := a.earlier(ctx, earlier)
		if err != nil {
			return next, err
		}
		if a.flow, err = a.loadText(d); err != nil {
			return next, err
		}
		next.Text = d.Text
	}
	next.Files = a.flow.Files()
	next.Body, err = json.Marshal(a.flow.Declaration())
	return next, err
}

// takes asks whether the change may be made: it can go on with what is there, what it destroys is named, and whoever applies it agrees.
func (a *app) takes(ctx context.Context, ch change, now schemas.Declaration, was flow.Declaration, done *applied) error {
	if err := a.continues(now, was); err != nil {
		return err
	}
	if absent, err := a.cluster.Absent(ctx, a.kafkaSource()); err != nil {
		return err
	} else if len(absent) > 0 {
		return usagef("topic %s does not exist, so that no replica could run the change; start the connector that writes it, or correct the topic's name in the flow file; nothing was done",
			strings.Join(absent, ", "))
	}
	all := a.evolves(now, was)
	if err := agreesToDestroy(all, ch.destroy, ch.command); err != nil {
		return err
	}
	done.Destroyed = append(done.Destroyed, flow.Destroyed(all)...)
	if !ch.agreed(slices.Concat(done.Changes, losses(all))) {
		return usagef("nothing was done; to apply the change of flow %s, answer with its name, or say --yes", a.flow.Name)
	}
	return nil
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
