package cli

import (
	"encoding/json"
	"io"

	"github.com/spf13/cobra"

	"github.com/freshet-dev/freshet/internal/history"
)

// newBench is `freshet bench`: measurements of a flow.
func newBench(c *common) *cobra.Command {
	cmd := &cobra.Command{Use: "bench", Short: "Measure a flow", Args: cobra.NoArgs}
	cmd.AddCommand(newBenchHistory(c))
	return cmd
}

// newBenchHistory is `freshet bench history`: what a real history of edits costs.
func newBenchHistory(c *common) *cobra.Command {
	var b historyBench
	var asJSON, commits bool
	cmd := &cobra.Command{
		Use:   "history -f FLOW (--corpus FILE | --git DIR)",
		Short: "Replay a history of edits, commit by commit, and report what each cost",
		Long: "Replay a history of edits through the flow, on a broker in this process: each commit's files go onto the source's " +
			"topic, and the next commit waits until every target shows what they changed. The files are those that the source's " +
			"globs take. State goes to a directory of its own, and rows to an SQLite file in it; the flow's own targets are " +
			"written only with --targets.",
		Args: cobra.NoArgs,
	}
	o := c.flowFlags(cmd)
	cmd.Flags().StringVar(&b.corpus, "corpus", "", "a recorded history: lines of JSON {commit, ts, path, op, text}, perhaps gzipped")
	cmd.Flags().StringVar(&b.git, "git", "", "a directory of a git repository that stands for the source's root")
	cmd.Flags().BoolVar(&b.check, "check", false, "compare every table with one built from the last state alone; exit 4 when they differ")
	cmd.Flags().IntVar(&b.limit, "limit", 0, "replay only so many commits")
	cmd.Flags().IntVar(&b.restartEvery, "restart-every", 0, "start a new process each time so many commits are replayed")
	cmd.Flags().StringSliceVar(&o.targets, "targets", nil, "write these targets of the flow; they must not be in use")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	cmd.Flags().BoolVar(&commits, "commits", false, "print each commit, not only the total")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if (b.corpus == "") == (b.git == "") {
			return usagef("which history? say --corpus FILE or --git DIR")
		}
		if b.limit < 0 || b.restartEvery < 0 {
			return usagef("--limit and --restart-every count commits: say a number from 0, which means all and never")
		}
		b.options = *o
		if !asJSON {
			b.terminal = cmd.ErrOrStderr()
		}
		report, err := b.run(cmd.Context())
		if err != nil {
			return asUsage(err)
		}
		return printHistory(cmd.OutOrStdout(), &report, asJSON, commits)
	}
	return cmd
}

func printHistory(out io.Writer, report *history.Report, asJSON, commits bool) (err error) {
	if asJSON {
		err = json.NewEncoder(out).Encode(report)
	} else {
		report.Print(out, commits)
	}
	switch c := report.Total.Check; {
	case err != nil:
		return err
	case c != nil && !c.OK():
		return &exit{code: exitDifference}
	case report.Total.Quarantined > 0:
		return &exit{code: exitQuarantined}
	}
	return nil
}
