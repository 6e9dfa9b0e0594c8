package cli

import "github.com/spf13/cobra"

// newExport is `freshet export`.
func newExport(c *common) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "export -f FLOW",
		Short: "Print a flow as a flow file in one form",
		Long: "Print a flow, with its overlay merged into it, as a flow file in one form: sections and keys in a fixed order, without comments. It has the " +
			"same fingerprints, so that a flow may go on under it. A program that declares its flow in Go prints it without -f. Paths are printed as they are written.",
		Args: cobra.NoArgs,
	}
	o := c.flowFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		f, err := o.load()
		if err != nil {
			return err
		}
		_, err = cmd.OutOrStdout().Write(f.YAML())
		return err
	}
	return cmd
}
