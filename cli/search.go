package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/freshet-dev/freshet/control"
	"github.com/freshet-dev/freshet/stream"
)

// newSearch is `freshet search`.
func newSearch(c *common) *cobra.Command {
	q := control.SearchQuery{}
	var asJSON bool
	cmd := &cobra.Command{
		Use:   `search -f FLOW TARGET "text"`,
		Short: "Find the rows of a target that are nearest to a text",
		Long: "Find the rows of a target that are nearest to a text. The text goes through the same model that filled the vector " +
			"column. A running process is asked; when none runs, the target is opened.",
		Args: exactly(2, `which target, and what text? e.g. search local "how to install"`),
	}
	find := c.siteFlags(cmd)
	cmd.Flags().StringVar(&q.Table, "table", "", "table to search (default the only one of the target with vectors)")
	cmd.Flags().StringVar(&q.Column, "column", "", "vector column to search (default the table's only one)")
	cmd.Flags().IntVarP(&q.K, "count", "k", 5, "how many rows")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if q.K < 1 {
			return usagef("-k %d: say how many rows, at least 1", q.K)
		}
		a, err := find()
		if err != nil {
			return err
		}
		q.Target, q.Text = args[0], args[1]
		r, err := a.search(cmd.Context(), q)
		if err != nil {
			return err
		}
		if asJSON {
			return json.NewEncoder(cmd.OutOrStdout()).Encode(r)
		}
		printHits(cmd.OutOrStdout(), r)
		return nil
	}
	return cmd
}

// exactly demands a number of arguments.
func exactly(n int, otherwise string) cobra.PositionalArgs { return between(n, n, otherwise) }

// between demands at least low arguments, and at most high.
func between(low, high int, otherwise string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) < low || len(args) > high {
			return usagef("%s", otherwise)
		}
		return nil
	}
}

// search asks the process that has the target open, or opens it.
func (a *app) search(ctx context.Context, q control.SearchQuery) (r control.SearchResult, err error) {
	defer a.close()
	if _, err := a.target(q.Target); err != nil {
		return r, err
	}
	if q.Table, q.Column, _, err = a.searchColumn(q); err != nil {
		return r, &exit{exitUsage, err.Error()}
	}
	search, done, err := a.searcher(ctx, q.Target)
	if err != nil {
		return r, err
	}
	defer done()
	return search(ctx, q)
}

// searcher asks the process that has a target open, or opens it.
func (a *app) searcher(ctx context.Context, target string) (search func(context.Context, control.SearchQuery) (control.SearchResult, error), done func(), err error) {
	running, _, err := a.processes(ctx)
	if err != nil {
		return nil, nil, err
	}
	for _, c := range running {
		s, err := c.Status(ctx)
		if err != nil {
			return nil, nil, err
		}
		if s.Delivers(target) {
			return c.Search, func() {}, nil
		}
	}
	if a.rolls() { // which edition is shown is recorded on the brokers
		if err := a.reachRows(ctx); err != nil {
			return nil, nil, err
		}
	}
	t, err := a.target(target)
	if err != nil {
		return nil, nil, err
	}
	sink, err := a.sinkToRead(ctx, t)
	if err != nil {
		return nil, nil, err
	}
	search = func(ctx context.Context, q control.SearchQuery) (control.SearchResult, error) {
		return a.searchSink(ctx, sink, q)
	}
	return search, func() {
		a.closeOperators()
		_ = sink.Close() // nothing was written
	}, nil
}

// searchSink searches an open target.
func (a *app) searchSink(ctx context.Context, sink stream.Sink, q control.SearchQuery) (control.SearchResult, error) {
	r := control.SearchResult{Target: q.Target, Hits: []control.Hit{}}
	s, ok := sink.(stream.Searcher)
	if !ok {
		return r, usagef("target %s can't be searched", q.Target)
	}
	var node *stream.Node
	var err error
	if r.Table, r.Column, node, err = a.searchColumn(q); err != nil {
		return r, err
	}
	vectors, err := node.Operator.Apply(ctx, []stream.Value{stream.StringOf(q.Text)})
	if err != nil {
		return r, firstFailure(err)
	}
	hits, err := s.Search(ctx, r.Table, r.Column, vectors[0], q.K)
	for _, h := range hits {
		r.Hits = append(r.Hits, control.HitOf(h))
	}
	return r, err
}

// searchColumn finds what a query means, and the node whose operator makes a vector of its text.
func (a *app) searchColumn(q control.SearchQuery) (table, column string, n *stream.Node, err error) {
	if table, err = a.searchTable(q); err == nil {
		column, n, err = a.flow.Program.SearchColumn(table, q.Column)
	}
	return table, column, n, err
}

// searchTable is the table asked for, or the target's only one with vectors; of one that rolls out the edition that is shown.
func (a *app) searchTable(q control.SearchQuery) (string, error) {
	var with []string
	q.Table = a.editionOf(q.Table)
	for _, t := range a.flow.Targets {
		if t.Name != q.Target {
			continue
		}
		for _, kept := range t.Config.Tables {
			hidden := kept.Front != "" && !slices.Contains(a.fronts(t), kept.Table.Name)
			if kept.Table.Name == q.Table || q.Table == "" && hasVector(kept.Table) && !hidden {
				with = append(with, kept.Table.Name)
			}
		}
	}
	switch {
	case len(with) == 1:
		return with[0], nil
	case q.Table != "":
		return "", stream.Errorf(stream.Usage, "search target "+q.Target, "it keeps no table %q", q.Table)
	case len(with) == 0:
		return "", stream.Errorf(stream.Usage, "search target "+q.Target, "it keeps no table with a vector column")
	}
	return "", stream.Errorf(stream.Usage, "search target "+q.Target, "it keeps several tables with vectors; choose one with --table: %s", strings.Join(with, ", "))
}

func hasVector(t stream.Table) bool {
	for _, c := range t.Columns {
		if c.Type.Kind == stream.Vector {
			return true
		}
	}
	return false
}

func printHits(out io.Writer, r control.SearchResult) {
	if len(r.Hits) == 0 {
		fmt.Fprintf(out, "nothing in table %s of target %s\n", r.Table, r.Target)
	}
	for i, h := range r.Hits {
		fmt.Fprintf(out, "%d. %s %s  (distance %.3f)\n", i+1, h.Document, h.Key, h.Distance)
		for _, name := range sortedKeys(h.Columns) {
			fmt.Fprintf(out, "   %-10s %s\n", name, brief(h.Columns[name].Value))
		}
	}
}

// briefly is how much of a value is shown on a line.
const briefly = 120

// brief shows a value on one line.
func brief(v stream.Value) string {
	text := v.String()
	if v.Kind() == stream.String {
		text = strings.Join(strings.Fields(v.Str()), " ")
	}
	if r := []rune(text); len(r) > briefly {
		return string(r[:briefly]) + "…"
	}
	return text
}
