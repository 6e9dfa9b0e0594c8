package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/freshet-dev/freshet/control"
	"github.com/freshet-dev/freshet/flow"
	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/kafka"
)

// forgetReport is what `forget --json` prints.
type forgetReport struct {
	control.Forgotten
	Targets []forgetTarget `json:"targets"`
	// Unreached is what the command can't delete, in words.
	Unreached []string `json:"unreached"`
}

// forgetTarget says what a target shows of the document, once it has applied the deletes.
type forgetTarget struct {
	Target  string  `json:"target"`
	Rows    int64   `json:"rows"`    // that are left
	Seconds float64 `json:"seconds"` // from the commit until it was seen
}

// newForget is `freshet forget`.
func newForget(c *common) *cobra.Command {
	var yes, asJSON bool
	cmd := &cobra.Command{
		Use:   "forget -f FLOW DOCUMENT",
		Short: "Delete a document from the state, the rows topic and every target, and prove it",
		Long: "Delete a document from the state, with its stored input and every result that no document uses; from the rows topic; and so " +
			"from every target. Then read each target back and report what is left. The report also names what the command can't reach, " +
			"such as the source: with its next change, or after a reset, the document comes back. Processes of the flow must run.",
		Args: exactly(1, "which document? its ID is the source's name, a slash and its key, e.g. page/intro.md"),
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
		if !yes && !confirmedDelete(cmd.InOrStdin(), cmd.ErrOrStderr(), args[0]) {
			return usagef("nothing was done; to forget document %s, answer with its ID, or say --yes", args[0])
		}
		var terminal io.Writer
		if !asJSON {
			terminal = cmd.ErrOrStderr()
		}
		shown := newProgress(terminal, "forget "+args[0], "targets")
		r, err := a.forget(cmd.Context(), args[0], shown)
		shown.Done()
		if err != nil {
			return err
		}
		return r.end(cmd.OutOrStdout(), asJSON)
	}
	return cmd
}

// confirmedDelete asks for the document's ID.
func confirmedDelete(in io.Reader, out io.Writer, id string) bool {
	fmt.Fprintf(out, "This deletes document %s from the flow and from all its targets. Type its ID to go on: ", id)
	return answered(in, id)
}

// forget has the process that holds the document forget it, and every target read back.
func (a *app) forget(ctx context.Context, id string, progress *progress) (r forgetReport, err error) {
	running, unreachable, err := a.processes(ctx)
	if err != nil {
		return r, err
	}
	if len(running) == 0 && len(unreachable) == 0 {
		return r, usagef("no process of flow %s runs; start `freshet dev` or `freshet run`, which delete the document", a.flow.Name)
	}
	if err := a.allDelivered(ctx, running, unreachable); err != nil {
		return r, err
	}
	if r.Forgotten, err = forgetIn(ctx, running, id); errors.Is(err, control.ErrNotHere) {
		return r, unknownDocument(id, unreachable)
	} else if err != nil {
		return r, err
	}
	r.Targets = []forgetTarget{}
	for i, t := range a.flow.Targets {
		progress.Set(int64(i), int64(len(a.flow.Targets)), t.Name)
		client, err := awaitApplied(ctx, running, t.Name, r.Partition, r.Until)
		if err != nil {
			return r, err
		}
		s, err := client.Shown(ctx, t.Name, id)
		if err != nil {
			return r, err
		}
		r.Targets = append(r.Targets, forgetTarget{t.Name, s.Rows, time.Since(r.At).Seconds()})
	}
	r.Unreached = a.unreached(r.At)
	return r, nil
}

// allDelivered refuses to begin while some target could not be read back.
func (a *app) allDelivered(ctx context.Context, running []*control.Client, unreachable []string) error {
	if len(unreachable) > 0 {
		return silent(a.flow.Name, unreachable)
	}
	connected := map[string]bool{}
	for _, c := range running {
		s, err := c.Status(ctx)
		if err != nil {
			return err
		}
		for _, t := range s.Targets {
			connected[t.Target] = connected[t.Target] || t.Connected
		}
	}
	for _, t := range a.flow.Targets {
		if !connected[t.Name] {
			return &exit{exitFailed, "no process delivers to target " + t.Name + " at present, so that it can't be read back; `freshet status` says why. Nothing was done"}
		}
	}
	return nil
}

// forgetIn asks one process after the other.
func forgetIn(ctx context.Context, running []*control.Client, id string) (f control.Forgotten, err error) {
	err = control.ErrNotHere
	for _, c := range running {
		if f, err = c.Forget(ctx, id); !errors.Is(err, control.ErrNotHere) {
			return f, err
		}
	}
	return f, err
}

// awaitApplied waits until a target has applied a partition up to an offset, and returns a process that delivers to it.
func awaitApplied(ctx context.Context, running []*control.Client, target string, partition int32, until int64) (*control.Client, error) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		for _, c := range running {
			s, err := c.Status(ctx)
			if err != nil {
				return nil, err
			}
			for _, t := range s.Targets {
				if t.Target == target && slices.ContainsFunc(t.Partitions, func(p control.TargetPartition) bool {
					return p.Partition == partition && p.Next >= until && !p.Rebuilding
				}) {
					return c, nil
				}
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// unreached says what outlives the command, and for how long.
func (a *app) unreached(at time.Time) (all []string) {
	for _, s := range a.flow.Sources {
		all = append(all, fmt.Sprintf("the source %s: its topic %s keeps the document's records until its writer deletes them, or its retention does", s.Name, s.Topic))
	}
	if a.flow.Intake() {
		all = append(all, fmt.Sprintf("the intake topic: until %s, when it has kept the last record of the document for its retention",
			at.Add(kafka.IntakeRetention).Format(time.RFC3339)))
	}
	if a.embedded {
		all = append(all, "the files of the broker in "+a.dataDir+": it never compacts; delete the directory and read the source again to be rid of them")
	} else {
		all = append(all, fmt.Sprintf("segments of the rows topic and the changelog that are not compacted yet: not before %s, with the topics' default settings; "+
			"the deletes themselves, which name the document, for %s more", at.Add(kafka.DefaultRetention.CompactionLag).Format(time.RFC3339), kafka.DefaultRetention.Delete))
	}
	for _, t := range a.flow.Targets {
		if !t.Spec.Guarantees.Transactional {
			all = append(all, "tombstones in target "+t.Name+", which name the document and its rows' keys, and hold no values")
		}
	}
	return append(all, "files of the local state until they are merged; backups; what readers of the topics and the targets have copied")
}

// end prints the report, and gives a target that still shows rows its exit code.
func (r forgetReport) end(out io.Writer, asJSON bool) error {
	left := int64(0)
	for _, t := range r.Targets {
		left += t.Rows
	}
	if asJSON {
		if err := json.NewEncoder(out).Encode(r); err != nil {
			return err
		}
	} else {
		r.print(out)
	}
	if left > 0 {
		return &exit{code: exitDifference}
	}
	return nil
}

func (r forgetReport) print(out io.Writer) {
	fmt.Fprintf(out, "document %s was forgotten at %s (partition %d)\n", r.Document, r.At.Format(time.RFC3339), r.Partition)
	for _, table := range slices.Sorted(maps.Keys(r.Rows)) {
		fmt.Fprintf(out, "  rows topic  %d rows of table %s deleted, up to offset %d\n", r.Rows[table], table, r.Until)
	}
	fmt.Fprintf(out, "  state       %d bytes of input and %d results deleted\n", r.Input, r.Memos)
	for _, t := range r.Targets {
		fmt.Fprintf(out, "  target      %s: read back after %.1f s, %d rows left\n", t.Target, t.Seconds, t.Rows)
	}
	fmt.Fprintln(out, "not reached:")
	for _, text := range r.Unreached {
		fmt.Fprintln(out, "  "+text)
	}
}

// forgetHere implements control.Source.
func (a *app) forgetHere(ctx context.Context, document string) (control.Forgotten, error) {
	if a.processor == nil {
		return control.Forgotten{}, control.ErrNotHere
	}
	out, held, err := a.processor.Forget(ctx, document)
	if err == nil && !held {
		err = control.ErrNotHere
	}
	return control.Forgotten(out), err
}

// shownHere counts the rows of a document that a target shows.
func (a *app) shownHere(ctx context.Context, target, document string) (rows int64, err error) {
	sink, release, err := a.delivering(target)
	if err != nil {
		return 0, err
	}
	defer release()
	t, err := a.target(target)
	if err != nil {
		return 0, err
	}
	err = readBack(ctx, sink, t, func(w stream.RowWrite) {
		if w.Document == document {
			rows++
		}
	})
	return rows, err
}

// readBack reads every row that a target shows.
func readBack(ctx context.Context, sink stream.Sink, t flow.Target, each func(stream.RowWrite)) error {
	reader, ok := sink.(stream.Reader)
	if !ok {
		return usagef("target %s can't be read back", t.Name)
	}
	for _, name := range sortedKeys(tablesOf(t)) {
		err := reader.ReadRows(ctx, name, func(w stream.RowWrite) error {
			each(w)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
