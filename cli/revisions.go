package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/freshet-dev/freshet/flow"
)

// revised is one line of `revisions --json`.
type revised struct {
	Revision int64     `json:"revision"`
	Created  time.Time `json:"created"`
	Changes  []string  `json:"changes"` // against the one before
	Logic    string    `json:"logic"`   // fingerprint, as lineage has it
	Text     string    `json:"text"`

	Files map[string]string `json:"files,omitempty"` // contents by path, of those that the text names and that belong to its logic
}

// newRevisions is `freshet revisions`.
func newRevisions(c *common) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "revisions -f FLOW [REVISION]",
		Short: "List what a flow has been, or print the flow file of one revision",
		Args:  cobra.MaximumNArgs(1),
	}
	find := c.siteFlags(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object a line")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		a, err := find()
		if err != nil {
			return err
		}
		defer a.close()
		if len(args) == 1 {
			return a.printRevision(cmd.Context(), cmd.OutOrStdout(), args[0])
		}
		return a.listRevisions(cmd.Context(), cmd.OutOrStdout(), asJSON)
	}
	return cmd
}

func (a *app) printRevision(ctx context.Context, out io.Writer, number string) error {
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return usagef("%q is no revision; `freshet revisions -f %s` lists them", number, a.fileName())
	}
	if err := a.reachTopics(ctx); err != nil {
		return err
	}
	d, err := a.earlier(ctx, n)
	if err == nil {
		_, err = out.Write(d.Text)
	}
	return err
}

func (a *app) listRevisions(ctx context.Context, out io.Writer, asJSON bool) error {
	if err := a.reachTopics(ctx); err != nil {
		return err
	}
	if _, _, err := a.recorded(ctx); err != nil {
		return err
	}
	all, err := a.cluster.Revisions(ctx, a.flow.Name)
	if err != nil {
		return err
	}
	var was flow.Declaration
	for i, d := range all {
		now, err := declarationOf(d)
		if err != nil {
			return err
		}
		r := revised{Revision: d.Revision, Created: time.Unix(0, d.Created).UTC(), Changes: []string{}, Logic: now.Logic, Text: string(d.Text)}
		for path, contents := range d.Files {
			if r.Files == nil {
				r.Files = map[string]string{}
			}
			r.Files[path] = string(contents)
		}
		if i > 0 {
			r.Changes = changesOf(now, was)
		}
		was = now
		if asJSON {
			err = json.NewEncoder(out).Encode(r)
		} else {
			err = r.print(out)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (r revised) print(out io.Writer) error {
	_, err := fmt.Fprintf(out, "%d  %s  logic %.12s\n", r.Revision, r.Created.Format(time.RFC3339), r.Logic)
	for _, c := range r.Changes {
		if err == nil {
			_, err = fmt.Fprintln(out, "   "+c)
		}
	}
	return err
}
