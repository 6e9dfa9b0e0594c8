package cli

import (
	"log/slog"
	"os"

	"github.com/spf13/cobra"
)

// common are the flags of every command.
type common struct {
	program
	logLevel, logFormat string
}

func newRoot(p program) *cobra.Command {
	c := &common{program: p}
	root := &cobra.Command{
		Use:           "freshet",
		Short:         "Keep every index true to its source",
		SilenceUsage:  true,
		SilenceErrors: true,
		PersistentPreRunE: func(*cobra.Command, []string) error {
			_, err := c.logger()
			return err
		},
	}
	root.PersistentFlags().StringVar(&c.logLevel, "log-level", "warn", "debug, info, warn or error")
	root.PersistentFlags().StringVar(&c.logFormat, "log-format", "text", "text or json")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usagef("%v", err) })
	root.AddCommand(newApply(c), newBackfill(c), newBench(c), newCompare(c), newDev(c), newDocuments(c), newExplain(c), newExport(c), newForget(c), newPlan(c), newSwitch(c, promotion),
		newRebuild(c), newReset(c), newSwitch(c, retirement), newRevisions(c), newSwitch(c, rolling), newRun(c), newSearch(c), newStatus(c), newTry(c), newValidate(c), newVerify(c))
	return root
}

func (c *common) logger() (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.logLevel)); err != nil {
		return nil, usagef("--log-level %q: say debug, info, warn or error", c.logLevel)
	}
	o := &slog.HandlerOptions{Level: level}
	switch c.logFormat {
	case "text":
		return slog.New(slog.NewTextHandler(os.Stderr, o)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(os.Stderr, o)), nil
	}
	return nil, usagef("--log-format %q: say text or json", c.logFormat)
}

// flowFlags adds the flags of a command that works on a flow.
func (c *common) flowFlags(cmd *cobra.Command) *options {
	o := &options{program: c.program}
	cmd.Flags().StringVarP(&o.flowFile, "file", "f", "", "the flow file")
	cmd.Flags().StringVar(&o.overlay, "overlay", "", "a file that overrides brokers, model end points and targets")
	cmd.Flags().StringVar(&o.dataDir, "data-dir", "", "directory of local state (default .freshet/FLOW beside the flow file)")
	cmd.PreRunE = func(*cobra.Command, []string) (err error) {
		if o.flowFile == "" && o.built == nil {
			return usagef("which flow? say -f FLOW")
		}
		o.log, err = c.logger()
		return err
	}
	return o
}

// listenFlag is for commands that keep running.
func (o *options) listenFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.listen, "listen", "", "address of the control HTTP (default a free port on loopback)")
}
