package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/freshet-dev/freshet/control"
	"github.com/freshet-dev/freshet/flow"
	"github.com/freshet-dev/freshet/stream"
)

// explained is what `explain --json` prints.
type explained struct {
	Target   string              `json:"target"`
	Table    string              `json:"table"`
	Document string              `json:"document"`
	Key      string              `json:"key"`
	Row      *control.RowRecord  `json:"row"`     // null: the rows topic has none
	Source   *control.Derivation `json:"source"`  // null: the flow has no such document
	Targets  []explainedTarget   `json:"targets"` // those that keep the table
}

// explainedTarget is what a target holds of the row.
type explainedTarget struct {
	Target  string `json:"target"`
	State   string `json:"state"`             // one of the states below
	Version string `json:"version,omitempty"` // that it holds; absent: it holds no such row
	Next    *int64 `json:"next"`              // next record of the rows topic's partition that it applies; null: not known
	Error   string `json:"error,omitempty"`   // why it was not read
}

// States of a row in a target, beside what the rows topic says of it.
const (
	heldEqual   = "equal"    // of that version, or rightly not there
	heldBehind  = "behind"   // the row's last record is not applied yet
	heldAbsent  = "absent"   // it is applied, and the row is not there
	heldLeftOut = "left out" // by the target's `where`
	heldDiffers = "differs"  // it is applied, and the row is of another version, or should not be there
	heldUnread  = "unread"
)

// newExplain is `freshet explain`.
func newExplain(c *common) *cobra.Command {
	var table string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "explain -f FLOW TARGET DOCUMENT|KEY [KEY]",
		Short: "Say where a row of a target comes from, back to its source",
		Long: "Say where a row of a target comes from: the row's last record in the rows topic with its lineage, the document's stored input, what " +
			"each node on the row's path makes of it, and which version of the row each target holds. A row is named as `search` and the " +
			"target's columns `_document` and `_key` have it: by its document and its key; by the document alone when that has one row in the " +
			"target; or by the key alone when one row of the target has it. The nodes are computed anew from the stored input, for the row alone; " +
			"models are not called: of a costly operator the kept result is shown. A rows-topic partition and each target's tables are read " +
			"through, which takes a while where they are large. Running processes are asked; when none runs, the state is read here.",
		Args: between(2, 3, "which row of which target? e.g. explain local page/intro.md 7bf083ca5dc6c306"),
	}
	find := c.siteFlags(cmd)
	cmd.Flags().StringVar(&table, "table", "", "the row's table (default the only one that it can be of)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		a, err := find()
		if err != nil {
			return err
		}
		e, err := a.explain(cmd.Context(), args[0], table, args[1:])
		if err != nil {
			return err
		}
		if asJSON {
			return json.NewEncoder(cmd.OutOrStdout()).Encode(e)
		}
		e.print(cmd.OutOrStdout())
		return nil
	}
	return cmd
}

// explain asks the flow's processes, or reads its state when none runs.
func (a *app) explain(ctx context.Context, target, table string, named []string) (e explained, err error) {
	t, err := a.target(target)
	if err != nil {
		return e, err
	}
	tables := sortedKeys(tablesOf(t))
	if table != "" {
		if !isOf(tables, table) {
			return e, usagef("target %s keeps no table %q; it keeps: %s", target, table, strings.Join(tables, ", "))
		}
		tables = []string{table}
	}
	err = a.look(ctx, func(running []*control.Client, unreachable []string, local localStores) error {
		all := make([]witness, len(running))
		for i, c := range running {
			all[i] = c
		}
		if len(running) == 0 {
			if err := a.reachRows(ctx); err != nil {
				return err
			}
			all = []witness{a.alone(local)}
		}
		id, err := a.rowNamed(ctx, all, target, tables, named)
		if err != nil {
			return err
		}
		e, err = a.explainRow(ctx, all, target, id)
		if err == nil && e.Source == nil && e.Row == nil && !slices.ContainsFunc(e.Targets, func(t explainedTarget) bool { return t.Version != "" }) {
			err = unknownDocument(id.Document, unreachable)
		}
		return err
	})
	return e, err
}

// rowNamed finds the row that is meant: by DOCUMENT KEY, DOCUMENT or KEY.
func (a *app) rowNamed(ctx context.Context, all []witness, target string, tables, named []string) (id stream.RowID, err error) {
	doc, notOne := a.documentNamed(named[0])
	d, err := control.Derivation{}, control.ErrNotHere
	if notOne == nil {
		d, err = askAll(all, func(w witness) (control.Derivation, error) { return w.Derive(ctx, stream.RowID{Document: doc.ID}) })
	}
	switch unknown := errors.Is(err, control.ErrNotHere); {
	case err != nil && !unknown:
		return id, err
	case unknown && len(named) == 1:
		return a.rowOfKey(ctx, all, target, tables, named[0])
	case unknown && notOne != nil:
		return id, notOne
	}
	var rows []stream.RowID
	for _, r := range d.Rows {
		if isOf(tables, r.Table) && (len(named) == 1 || r.Key == named[1]) {
			rows = append(rows, stream.RowID{Table: r.Table, Document: doc.ID, Key: r.Key})
		}
	}
	switch {
	case len(rows) == 1:
		return rows[0], nil
	case len(rows) > 1:
		return id, severalRows("document "+doc.ID, target, rows)
	case len(named) == 1:
		return id, &exit{exitFailed, fmt.Sprintf("document %s has no row in target %s", doc.ID, target)}
	case len(tables) > 1:
		return id, usagef("document %s has no row of key %q; to explain one that a target holds nevertheless, say its --table, one of: %s", doc.ID, named[1],
			strings.Join(tables, ", "))
	}
	return stream.RowID{Table: tables[0], Document: doc.ID, Key: named[1]}, nil // that a target may hold, where no document has it
}

// rowOfKey finds the only row of a target that has a key.
func (a *app) rowOfKey(ctx context.Context, all []witness, target string, tables []string, key string) (id stream.RowID, err error) {
	h, err := askAll(all, func(w witness) (control.Held, error) {
		return w.Held(ctx, control.HeldQuery{Target: target, Key: key, Partition: -1})
	})
	if errors.Is(err, control.ErrNotHere) {
		err = &exit{exitFailed, "no process delivers to target " + target + " at present, so that it can't be read; say the row's document too"}
	}
	if err != nil {
		return id, err
	}
	var rows []stream.RowID
	for _, r := range h.Rows {
		if isOf(tables, r.Table) {
			rows = append(rows, stream.RowID{Table: r.Table, Document: r.Document, Key: r.Key})
		}
	}
	switch len(rows) {
	case 0:
		return id, &exit{exitFailed, fmt.Sprintf("%q is no document of the flow, and no row of target %s has it as its key", key, target)}
	case 1:
		return rows[0], nil
	}
	return id, severalRows(fmt.Sprintf("key %q", key), target, rows)
}

// isOf reports whether a table is one of these, or an edition of one.
func isOf(tables []string, table string) bool {
	return slices.ContainsFunc(tables, func(t string) bool { return t == table || stream.IsEditionOf(table, t) })
}

// severalRows refuses a name that several rows go by.
func severalRows(what, target string, rows []stream.RowID) error {
	var b strings.Builder
	for _, r := range rows[:min(len(rows), control.MaxHeld)] {
		fmt.Fprintf(&b, "\n  explain %s %s %q --table %s", target, r.Document, r.Key, r.Table)
	}
	return usagef("%s has %d rows in target %s; say which:%s", what, len(rows), target, b.String())
}

// explainRow puts together what the witnesses know.
func (a *app) explainRow(ctx context.Context, all []witness, target string, id stream.RowID) (e explained, err error) {
	e = explained{Target: target, Table: id.Table, Document: id.Document, Key: id.Key, Targets: []explainedTarget{}}
	partition := int32(-1)
	switch d, err := askAll(all, func(w witness) (control.Derivation, error) { return w.Derive(ctx, id) }); {
	case err == nil:
		e.Source, partition = &d, d.Partition
	case !errors.Is(err, control.ErrNotHere):
		return e, err
	}
	switch r, err := askAll(all, func(w witness) (control.RowRecord, error) { return w.Row(ctx, id, partition) }); {
	case err == nil:
		e.Row, partition = &r, r.Partition
	case !errors.Is(err, control.ErrNotHere):
		return e, err
	}
	for _, t := range a.flow.Targets {
		if _, keeps := tablesOf(t)[id.Table]; keeps {
			e.Targets = append(e.Targets, e.in(ctx, all, t, id, partition))
		}
	}
	return e, nil
}

// in says what a target holds of the row. One that can't be read does not keep the others from being told.
func (e explained) in(ctx context.Context, all []witness, t flow.Target, id stream.RowID, partition int32) explainedTarget {
	out := explainedTarget{Target: t.Name, State: heldUnread}
	h, err := askAll(all, func(w witness) (control.Held, error) {
		return w.Held(ctx, control.HeldQuery{Target: t.Name, Table: id.Table, Document: id.Document, Key: id.Key, Partition: partition})
	})
	switch {
	case errors.Is(err, control.ErrNotHere):
		out.Error = "no process delivers to it at present"
		return out
	case err != nil:
		out.Error = err.Error()
		return out
	}
	if out.Next = h.Next; len(h.Rows) > 0 {
		out.Version = h.Rows[0].Version
	}
	out.State = stateIn(t.Name, e.Row, out)
	return out
}

// stateIn compares what a target holds with the row's last record; nil: there is none.
func stateIn(target string, r *control.RowRecord, held explainedTarget) string {
	there := held.Version != ""
	leftOut := r != nil && slices.Contains(r.LeftOut, target)
	switch shown := r != nil && !r.Deleted && !leftOut; {
	case leftOut && !there:
		return heldLeftOut
	case shown && held.Version == r.Version, !shown && !there:
		return heldEqual
	case r != nil && held.Next != nil && *held.Next <= r.Offset:
		return heldBehind
	case !there:
		return heldAbsent
	}
	return heldDiffers
}
