package cli

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/freshet-dev/freshet/schemas"
	"github.com/freshet-dev/freshet/stream/kafka"
)

// newBackfill is `freshet backfill`.
func newBackfill(c *common) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "backfill",
		Short: "Slow down, stop or give up the evaluation of documents that a changed flow affects",
		Long: "After `freshet apply` documents are evaluated again, behind live changes. How fast is recorded with the flow, so that replicas " +
			"that start later keep to it too; those that run take it up within seconds. `freshet status` says how far it is.",
	}
	cmd.AddCommand(
		c.newPace("pause", "Evaluate no more documents again; live changes go on", cobra.NoArgs,
			func(now *schemas.Backfill, _ []string) error { now.Paused = true; return nil }),
		c.newPace("resume", "Go on where it was paused", cobra.NoArgs,
			func(now *schemas.Backfill, _ []string) error { now.Paused = false; return nil }),
		c.newPace("rate DOCUMENTS", "Evaluate so many documents a second again, over all replicas; 0: as fast as it goes", cobra.ExactArgs(1), setRate),
		newCancel(c))
	return cmd
}

func setRate(now *schemas.Backfill, args []string) (err error) {
	if now.Rate, err = strconv.ParseFloat(args[0], 64); err != nil || !(now.Rate >= 0) || now.Rate > 1e9 {
		return usagef("%q is no rate; say documents a second, e.g. 50", args[0])
	}
	return nil
}

// newPace is a command that changes how fast the backfill goes.
func (c *common) newPace(use, short string, args cobra.PositionalArgs, change func(*schemas.Backfill, []string) error) *cobra.Command {
	cmd := &cobra.Command{Use: use + " -f FLOW", Short: short, Args: args}
	find := c.siteFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		a, err := find()
		if err != nil {
			return err
		}
		defer a.close()
		r, err := a.backfilled(cmd.Context())
		if err != nil {
			return err
		}
		pace := r.Backfill
		if err := change(&pace, args); err != nil {
			return err
		}
		if err := a.cluster.SetBackfill(cmd.Context(), a.flow.Name, pace); err != nil {
			return err
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "flow %s: %s\n", a.flow.Name, paceText(pace.Paused, pace.Rate))
		return err
	}
	return cmd
}

// backfilled is what is recorded of a flow on a cluster.
func (a *app) backfilled(ctx context.Context) (r kafka.Recorded, err error) {
	if a.embedded {
		return r, usagef("flow %s runs under `freshet dev`, whose backfill goes as fast as it can", a.flow.Name)
	}
	if err := a.reachTopics(ctx); err != nil {
		return r, err
	}
	r, _, err = a.recorded(ctx)
	return r, err
}

func paceText(paused bool, rate float64) string {
	switch {
	case paused:
		return "the backfill is paused"
	case rate > 0:
		return fmt.Sprintf("the backfill takes %g documents a second", rate)
	}
	return "the backfill goes as fast as it can"
}

// newCancel is `freshet backfill cancel`.
func newCancel(c *common) *cobra.Command {
	var yes bool
	var destroy []string
	cmd := &cobra.Command{
		Use:   "cancel -f FLOW",
		Short: "Go back to the revision before: record it as the next one",
		Long: "Go back to the revision before, as `freshet apply --revision` does: documents that the present one has evaluated are evaluated again by " +
			"that one, which finds its results while they are kept; the others stay as they are. What the present revision added and the one before " +
			"does not have goes, and has to be named with --destroy.",
		Args: cobra.NoArgs,
	}
	find := c.siteFlags(cmd)
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	destroyFlag(cmd, &destroy)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		a, err := find()
		if err != nil {
			return err
		}
		defer a.close()
		r, err := a.backfilled(cmd.Context())
		if err != nil {
			return err
		}
		if r.Declaration.Revision == 1 {
			return usagef("flow %s is at its first revision; there is none to go back to", a.flow.Name)
		}
		done, err := a.apply(cmd.Context(), change{earlier: r.Declaration.Revision - 1, destroy: destroy, command: "freshet backfill cancel -f " + a.fileName(),
			agreed: a.approval(cmd, yes)})
		if err != nil {
			return err
		}
		return done.print(cmd.OutOrStdout())
	}
	return cmd
}
