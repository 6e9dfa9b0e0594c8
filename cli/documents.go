package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/freshet-dev/freshet/control"
)

// newDocuments is `freshet documents`.
func newDocuments(c *common) *cobra.Command {
	cmd := &cobra.Command{Use: "documents", Short: "Look into a flow's documents"}
	cmd.AddCommand(newDocumentsList(c), newDocumentsShow(c), newDocumentsRetry(c), newDocumentsDrop(c))
	return cmd
}

func newDocumentsList(c *common) *cobra.Command {
	q := control.Query{}
	var quarantined, pending, parked, asJSON bool
	cmd := &cobra.Command{
		Use:   "list -f FLOW",
		Short: "List documents in order of ID, with their status",
		Args:  cobra.NoArgs,
	}
	find := c.siteFlags(cmd)
	cmd.Flags().BoolVar(&quarantined, "quarantined", false, "only documents that can't be processed until they change, with the reason")
	cmd.Flags().BoolVar(&pending, "pending", false, "only documents whose evaluation is not finished")
	cmd.Flags().BoolVar(&parked, "parked", false, "only pending documents whose evaluation rests, with when it is tried again and the last failure")
	cmd.Flags().StringVar(&q.After, "after", "", "only documents with an ID after this one")
	cmd.Flags().IntVar(&q.Limit, "limit", control.DefaultLimit, "at most so many")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	cmd.MarkFlagsMutuallyExclusive("quarantined", "pending", "parked")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if q.Limit < 1 || q.Limit > control.MaxLimit {
			return usagef("--limit %d: say a number from 1 to %d", q.Limit, control.MaxLimit)
		}
		switch {
		case quarantined:
			q.Status = "quarantined"
		case pending:
			q.Status = "pending"
		case parked:
			q.Status = "parked"
		}
		a, err := find()
		if err != nil {
			return err
		}
		page, err := a.documents(cmd.Context(), q)
		if err != nil {
			return err
		}
		if asJSON {
			return json.NewEncoder(cmd.OutOrStdout()).Encode(page)
		}
		printDocuments(cmd.OutOrStdout(), page)
		return nil
	}
	return cmd
}

func (a *app) documents(ctx context.Context, q control.Query) (page control.Documents, err error) {
	err = a.look(ctx, func(running []*control.Client, _ []string, local localStores) error {
		if len(running) == 0 {
			page, err = control.ListDocuments(local, q)
			return err
		}
		var pages []control.Documents
		for _, c := range running {
			p, err := c.Documents(ctx, q)
			if err != nil {
				return err
			}
			pages = append(pages, p)
		}
		page = control.Merge(pages, q.Limit)
		return nil
	})
	return page, err
}

func printDocuments(out io.Writer, page control.Documents) {
	for _, d := range page.Documents {
		fmt.Fprintf(out, "%-12s %5d rows  %s\n", statusText(d), d.Rows, d.ID)
		if d.Parked != nil {
			fmt.Fprintf(out, "             %s\n", parkedText(d.Parked))
		}
		if d.Reason != "" {
			fmt.Fprintf(out, "             %s\n", d.Reason)
		}
	}
	for _, r := range page.Rejected {
		fmt.Fprintf(out, "%-12s %s/%d@%d key %q\n             %s\n", "rejected", r.Position.Topic, r.Position.Partition, r.Position.Offset, r.Key, r.Reason)
	}
	if len(page.Documents)+len(page.Rejected) == 0 {
		fmt.Fprintln(out, "none")
	}
	if page.Next != "" {
		fmt.Fprintf(out, "there are more; say --after %q\n", page.Next)
	}
}

// statusText is the status as people read it.
func statusText(d control.Document) string {
	if d.Parked != nil {
		return "parked"
	}
	return d.Status
}

func parkedText(k *control.Parked) string {
	text := fmt.Sprintf("due %s, %d failed attempts, the last: %s", k.Due, k.Attempts, k.Reason)
	if k.Out != "" {
		text += " (node " + k.Out + " answers nobody, which counts no attempt)"
	}
	return text
}

func newDocumentsShow(c *common) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "show -f FLOW ID",
		Short: "Show a document: its status, its stored input, its rows",
		Args:  exactly(1, "which document? its ID is the source's name, a slash and its key, e.g. page/intro.md"),
	}
	find := c.siteFlags(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		a, err := find()
		if err != nil {
			return err
		}
		d, err := a.document(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		if asJSON {
			return json.NewEncoder(cmd.OutOrStdout()).Encode(d)
		}
		printDocument(cmd.OutOrStdout(), d)
		return nil
	}
	return cmd
}

// document finds a document in any process, or in the local state.
func (a *app) document(ctx context.Context, id string) (d control.Detail, err error) {
	err = a.look(ctx, func(running []*control.Client, unreachable []string, local localStores) error {
		if len(running) == 0 {
			found := false
			if d, found, err = control.FindDocument(local, id); err == nil && !found {
				err = unknownDocument(id, nil)
			}
			return err
		}
		for _, c := range running {
			if d, err = c.Document(ctx, id); !errors.Is(err, control.ErrNotHere) {
				return err
			}
		}
		return unknownDocument(id, unreachable)
	})
	return d, err
}

func unknownDocument(id string, unreachable []string) error {
	if len(unreachable) > 0 {
		return &exit{exitFailed, fmt.Sprintf("no replica that answers holds document %s; those at %v do not answer", id, unreachable)}
	}
	return &exit{exitFailed, fmt.Sprintf("there is no document %s; `freshet documents list` names them", id)}
}

func printDocument(out io.Writer, d control.Detail) {
	fmt.Fprintf(out, "%s\n  status     %s\n", d.ID, statusText(d.Document))
	if d.Parked != nil {
		fmt.Fprintf(out, "  parked     %s\n", parkedText(d.Parked))
	}
	if d.Reason != "" {
		fmt.Fprintf(out, "  reason     %s\n", d.Reason)
	}
	fmt.Fprintf(out, "  from       %s\n", positionText(d.Position))
	if d.Failed != nil {
		fmt.Fprintf(out, "  failed     %s\n", positionText(*d.Failed))
	}
	for _, f := range d.Input.Entries() {
		fmt.Fprintf(out, "  input      %s = %s\n", f.Key, brief(f.Value))
	}
	for _, r := range d.Rows {
		fmt.Fprintf(out, "  row        %s %s\n", r.Table, r.Key)
	}
}

func positionText(p control.Position) string {
	text := fmt.Sprintf("%s/%d@%d", p.Topic, p.Partition, p.Offset)
	if p.Time != "" {
		text += " of " + p.Time
	}
	return text
}
