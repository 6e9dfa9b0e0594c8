package cli

import (
	"fmt"

	"github.com/spf13/cobra"
)

// newValidate is `freshet validate`: every fault of a flow file at once.
func newValidate(c *common) *cobra.Command {
	cmd := &cobra.Command{Use: "validate -f FLOW", Short: "Check a flow file; print every fault with its position", Args: cobra.NoArgs}
	o := c.flowFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		f, err := o.load()
		if err != nil {
			return err
		}
		for _, w := range f.Warnings {
			fmt.Fprintln(cmd.ErrOrStderr(), "warning:", w)
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%s: flow %s is valid\n", o.declared(), f.Name)
		return nil
	}
	return cmd
}
