package cli

import (
	"fmt"
	"io"
	"slices"

	"github.com/freshet-dev/freshet/control"
	"github.com/freshet-dev/freshet/schemas"
	"github.com/freshet-dev/freshet/stream"
)

func (e explained) print(out io.Writer) {
	fmt.Fprintf(out, "row of table %s, document %s, key %q\n", e.Table, e.Document, e.Key)
	e.printRow(out)
	e.printSource(out)
	for _, t := range e.Targets {
		t.print(out)
	}
}

func (e explained) printRow(out io.Writer) {
	switch {
	case e.Row == nil:
		fmt.Fprintln(out, "  the rows topic has no record of it")
		return
	case e.Row.Deleted:
		fmt.Fprintf(out, "  deleted    by version %s, in partition %d\n", e.Row.Version, e.Row.Partition)
		return
	}
	fmt.Fprintf(out, "  version    %s, in partition %d\n", e.Row.Version, e.Row.Partition)
	fmt.Fprintf(out, "  written of %s\n", writtenOf(e.Row.Lineage))
	fmt.Fprintf(out, "  revision   %s\n", e.Row.Lineage.Revision)
	for _, name := range sortedKeys(e.Row.Columns) {
		fmt.Fprintf(out, "  column     %s = %s\n", name, brief(e.Row.Columns[name].Value))
	}
	if e.Row.Before != nil {
		printBefore(out, *e.Row.Before, *e.Row)
	}
}

// printBefore tells what a row was before its last record, where it differs: columns, and what had computed them.
func printBefore(out io.Writer, was, is control.RowRecord) {
	if was.Deleted {
		fmt.Fprintf(out, "  before     deleted by version %s\n", was.Version)
		return
	}
	fmt.Fprintf(out, "  before     version %s, written of %s, revision %s\n", was.Version, writtenOf(was.Lineage), was.Lineage.Revision)
	for _, n := range was.Lineage.Nodes {
		if now := writtenBy(&is, n.Node); now == nil || *now != n {
			fmt.Fprintf(out, "    node     %s by %s\n", n.Node, operatorText(n))
		}
	}
	for _, name := range sortedKeys(was.Columns) {
		if now, there := is.Columns[name]; !there || !now.Value.Equal(was.Columns[name].Value) {
			fmt.Fprintf(out, "    column   %s = %s\n", name, brief(was.Columns[name].Value))
		}
	}
}

// writtenOf is the source record that a row was written of.
func writtenOf(l *schemas.Lineage) string {
	return positionText(control.Position{Topic: l.Topic, Partition: l.Partition, Offset: l.Offset, Source: l.Position, Time: l.Time})
}

func (e explained) printSource(out io.Writer) {
	d := e.Source
	if d == nil {
		fmt.Fprintln(out, "the flow has no such document: it was deleted, or never came")
		return
	}
	detail := d.Detail
	detail.Rows = nil // the one is told already
	printDocument(out, detail)
	if !d.Current {
		fmt.Fprintln(out, "  the flow as it is now has not evaluated this input yet: the row may be of an earlier one")
	}
	if !d.Made && d.Error == "" {
		fmt.Fprintln(out, "  this input does not give the row; the nodes of the document:")
	}
	for _, n := range d.Nodes {
		printNode(out, n, writtenBy(e.Row, n.Node))
	}
	if d.Error != "" {
		fmt.Fprintln(out, "failed:", d.Error)
	}
}

// writtenBy is what a row's lineage says of a node; nil when it says nothing.
func writtenBy(r *control.RowRecord, node string) *stream.NodeLineage {
	if r == nil || r.Lineage == nil {
		return nil
	}
	nodes := r.Lineage.Nodes
	i := slices.IndexFunc(nodes, func(n stream.NodeLineage) bool { return n.Node == node })
	if i < 0 {
		return nil
	}
	return &nodes[i]
}

func operatorText(n stream.NodeLineage) string {
	text := fmt.Sprintf("%s, version %d", n.Operator, n.Version)
	if n.Model != "" {
		text += ", model " + n.Model
	}
	return text
}

func printNode(out io.Writer, n control.Node, written *stream.NodeLineage) {
	fmt.Fprintf(out, "node %s (%s)", n.Node, operatorText(n.NodeLineage))
	if n.Element != "" {
		fmt.Fprintf(out, ", for the %s", n.Element)
	}
	if written != nil && *written != n.NodeLineage {
		fmt.Fprintf(out, "; when the row was written: %s", operatorText(*written))
	}
	if !n.Ran {
		fmt.Fprintln(out, ": not run")
		return
	}
	fmt.Fprintf(out, "\n  in         %s\n", keptText(n, "input", n.Input))
	if o := n.Opened; o != nil {
		fmt.Fprintf(out, "  %-10s %d of %d", o.Element, o.Index+1, o.Of)
		if o.Span != nil {
			fmt.Fprintf(out, ", bytes %d to %d of the source text", o.Span.Start, o.Span.End)
		}
		fmt.Fprintln(out)
	}
	fmt.Fprintf(out, "  out        %s\n", keptText(n, "output", n.Output))
}

func keptText(n control.Node, what string, v control.Value) string {
	if slices.Contains(n.Missing, what) {
		return "not kept"
	}
	return brief(v.Value)
}

func (t explainedTarget) print(out io.Writer) {
	fmt.Fprintf(out, "target %s: %s", t.Target, t.State)
	switch {
	case t.Error != "":
		fmt.Fprintf(out, ": %s", t.Error)
	case t.Version != "":
		fmt.Fprintf(out, ", holds version %s", t.Version)
	default:
		fmt.Fprint(out, ", holds no such row")
	}
	if t.State == heldBehind {
		fmt.Fprintf(out, "; it has applied the partition up to offset %d", *t.Next)
	}
	if t.State == heldAbsent || t.State == heldDiffers {
		fmt.Fprintf(out, "; see: freshet verify %s", t.Target)
	}
	fmt.Fprintln(out)
}
