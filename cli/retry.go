package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/freshet-dev/freshet/control"
	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/kafka"
)

// newDocumentsRetry is `freshet documents retry`.
func newDocumentsRetry(c *common) *cobra.Command {
	var which control.Which
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "retry -f FLOW [ID...]",
		Short: "Evaluate documents again that are parked or quarantined",
		Long: "Evaluate documents again, from their stored input and with attempts of their own: parked ones before they are due, quarantined ones though nothing " +
			"of them changed. A document whose last change could not be understood waits for its source to write it anew. Processes of the flow must run.",
	}
	find := c.siteFlags(cmd)
	cmd.Flags().BoolVar(&which.Quarantined, "all-quarantined", false, "all that are quarantined")
	cmd.Flags().BoolVar(&which.Parked, "all-parked", false, "all that are parked")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		which.Documents = args
		if all := which.Quarantined || which.Parked; all == (len(args) > 0) {
			return usagef("which documents? say IDs, or --all-quarantined, or --all-parked")
		}
		a, err := find()
		if err != nil {
			return err
		}
		defer a.close()
		r, err := a.retry(cmd.Context(), which)
		if err != nil {
			return err
		}
		return endRetry(cmd.OutOrStdout(), r, asJSON)
	}
	return cmd
}

// idsAtOnce is how many documents one request names.
const idsAtOnce = 100

// retry asks each process for what it holds.
func (a *app) retry(ctx context.Context, w control.Which) (sum control.Retried, err error) {
	running, unreachable, err := a.awake(ctx, "which evaluate the documents")
	if err != nil {
		return sum, err
	}
	if len(unreachable) > 0 && len(w.Documents) == 0 {
		return sum, silent(a.flow.Name, unreachable)
	}
	sum = control.Retried{UnderWay: []string{}, Live: []string{}, Unread: []string{}, Unknown: w.Documents}
	if len(w.Documents) == 0 {
		sum.Unknown = []string{}
	}
	for _, c := range running {
		left := sum.Unknown
		sum.Unknown = []string{}
		for part := range slices.Chunk(append([]string(nil), left...), idsAtOnce) {
			if err := addRetried(ctx, &sum, c, control.Which{Documents: part}); err != nil {
				return sum, err
			}
		}
		if w.Parked || w.Quarantined {
			if err := addRetried(ctx, &sum, c, control.Which{Parked: w.Parked, Quarantined: w.Quarantined}); err != nil {
				return sum, err
			}
		}
	}
	return sum, nil
}

func addRetried(ctx context.Context, sum *control.Retried, c *control.Client, w control.Which) error {
	r, err := c.Retry(ctx, w)
	sum.Due += r.Due
	sum.UnderWay = append(sum.UnderWay, r.UnderWay...)
	sum.Live = append(sum.Live, r.Live...)
	sum.Unread = append(sum.Unread, r.Unread...)
	sum.Unknown = append(sum.Unknown, r.Unknown...)
	return err
}

// awake finds processes of the flow, which have to run.
func (a *app) awake(ctx context.Context, what string) (running []*control.Client, unreachable []string, err error) {
	running, unreachable, err = a.processes(ctx)
	switch {
	case err != nil:
	case len(running) == 0 && len(unreachable) == 0:
		err = usagef("no process of flow %s runs; start `freshet dev` or `freshet run`, %s", a.flow.Name, what)
	case len(running) == 0:
		err = silent(a.flow.Name, unreachable)
	}
	return running, unreachable, err
}

func endRetry(out io.Writer, r control.Retried, asJSON bool) error {
	if asJSON {
		if err := json.NewEncoder(out).Encode(r); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(out, "%d documents are evaluated again\n", r.Due)
		for _, list := range []struct {
			ids []string
			why string
		}{{r.UnderWay, "is being evaluated"}, {r.Live, "is neither parked nor quarantined"},
			{r.Unread, "its last change could not be understood; its source has to write it anew"}, {r.Unknown, "no process that answers holds it"}} {
			for _, id := range list.ids {
				fmt.Fprintf(out, "  %s: %s\n", id, list.why)
			}
		}
	}
	if len(r.Unknown) > 0 {
		return &exit{code: exitFailed}
	}
	return nil
}

// newDocumentsDrop is `freshet documents drop`.
func newDocumentsDrop(c *common) *cobra.Command {
	var yes, asJSON bool
	cmd := &cobra.Command{
		Use:   "drop -f FLOW ID",
		Short: "Give up a quarantined document, or a record that could not be understood",
		Long: "Give up a quarantined document: its stored input and its rows go, here and in every target, as if its source had deleted it; its next change brings it back. " +
			"Or give up a record that names no document and could not be understood, by its position TOPIC/PARTITION@OFFSET, as `freshet documents list` has it. " +
			"Processes of the flow must run.",
		Args: exactly(1, "which document? `freshet documents list --quarantined` names those that can be given up"),
	}
	find := c.siteFlags(cmd)
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		a, err := find()
		if err != nil {
			return err
		}
		defer a.close()
		if !yes && !confirmedDrop(cmd.InOrStdin(), cmd.ErrOrStderr(), args[0]) {
			return usagef("nothing was done; to give up %s, answer with its ID, or say --yes", args[0])
		}
		d, err := a.drop(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		if asJSON {
			return json.NewEncoder(cmd.OutOrStdout()).Encode(d)
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%s was given up\n", args[0])
		return nil
	}
	return cmd
}

func confirmedDrop(in io.Reader, out io.Writer, id string) bool {
	fmt.Fprintf(out, "This deletes %s from the flow and from all its targets. Type its ID to go on: ", id)
	return answered(in, id)
}

// drop asks one process after the other: for a document, and for a record where the text is a position.
func (a *app) drop(ctx context.Context, id string) (control.Dropped, error) {
	all := []control.Dropped{{Document: id}}
	if at := positionOf(id); at != nil {
		all = append(all, control.Dropped{Record: at})
	}
	running, unreachable, err := a.awake(ctx, "which delete the document")
	if err != nil {
		return control.Dropped{}, err
	}
	for _, d := range all {
		for _, c := range running {
			if err := c.Drop(ctx, d); !errors.Is(err, control.ErrNotHere) {
				return d, err
			}
		}
	}
	return control.Dropped{}, unknownDocument(id, unreachable)
}

// positionOf reads TOPIC/PARTITION@OFFSET; nil when the text is none.
func positionOf(text string) *control.Position {
	rest, last, ok := cutLast(text, "@")
	topic, middle, ok2 := cutLast(rest, "/")
	offset, err1 := strconv.ParseInt(last, 10, 64)
	partition, err2 := strconv.ParseInt(middle, 10, 32)
	if !ok || !ok2 || err1 != nil || err2 != nil {
		return nil
	}
	return &control.Position{Topic: topic, Partition: int32(partition), Offset: offset}
}

func cutLast(text, sep string) (before, after string, found bool) {
	i := strings.LastIndex(text, sep)
	if i < 0 {
		return text, "", false
	}
	return text[:i], text[i+len(sep):], true
}

// retryHere implements control.Source.
func (a *app) retryHere(ctx context.Context, w control.Which) (control.Retried, error) {
	if a.processor == nil {
		return control.Retried{Unknown: w.Documents}, nil
	}
	out, err := a.processor.Retry(ctx, kafka.Which(w))
	return control.Retried(out), err
}

// dropHere implements control.Source.
func (a *app) dropHere(ctx context.Context, d control.Dropped) error {
	held, err := false, error(nil)
	switch {
	case a.processor == nil:
	case d.Record != nil:
		held, err = a.processor.DropRejected(ctx, stream.Position{Topic: d.Record.Topic, Partition: d.Record.Partition, Offset: d.Record.Offset})
	default:
		held, err = a.processor.Drop(ctx, d.Document)
	}
	if err == nil && !held {
		err = control.ErrNotHere
	}
	return err
}
