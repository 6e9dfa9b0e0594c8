package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/freshet-dev/freshet/control"
	"github.com/freshet-dev/freshet/stream"
)

// compared is what `compare --json` prints: how much of what the shown edition of a table finds the other one finds too.
type compared struct {
	Target    string          `json:"target"`
	Table     string          `json:"table"`
	Shown     string          `json:"shown"`     // the edition that readers see
	Other     string          `json:"other"`     // the one that is compared with it
	K         int             `json:"k"`         // rows that each finds for a query
	Rows      float64         `json:"rows"`      // mean recall at k: of rows, by document and key
	Documents float64         `json:"documents"` // of documents
	Queries   []comparedQuery `json:"queries"`
}

type comparedQuery struct {
	Query     string   `json:"query"`
	Rows      float64  `json:"rows"`
	Documents float64  `json:"documents"`
	Lost      []string `json:"lost"`   // documents that only the shown edition finds, in its order
	Gained    []string `json:"gained"` // documents that only the other finds
}

// newCompare is `freshet compare`.
func newCompare(c *common) *cobra.Command {
	q := control.SearchQuery{}
	var queries string
	var asJSON bool
	var wait time.Duration
	cmd := &cobra.Command{
		Use:   "compare -f FLOW TARGET --queries FILE",
		Short: "Compare what two editions of a table find for the same queries",
		Long: "Search both editions of a table that rolls out blue-green for each line of a file, each with the model that filled it, and say how much of " +
			"what the shown edition finds the other one finds too: recall at k, of rows and of documents. Rows are the same when document and key are, " +
			"which they seldom are where documents are cut otherwise. It calls the models of both editions, twice for each query. Running processes are asked.",
		Args: exactly(1, "which target? e.g. compare search --queries questions.txt"),
	}
	find := c.siteFlags(cmd)
	cmd.Flags().StringVar(&queries, "queries", "", "file of queries, one a line; - is standard input")
	cmd.Flags().StringVar(&q.Table, "table", "", "table to search (default the only one of the target with vectors)")
	cmd.Flags().StringVar(&q.Column, "column", "", "vector column to search (default the table's only one)")
	cmd.Flags().IntVarP(&q.K, "count", "k", 10, "how many rows each finds")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	cmd.Flags().DurationVar(&wait, "wait", 30*time.Second, "how long to wait until both editions are complete")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if q.K < 1 {
			return usagef("-k %d: say how many rows, at least 1", q.K)
		}
		texts, err := queryLines(cmd.InOrStdin(), queries)
		if err != nil {
			return err
		}
		a, err := find()
		if err != nil {
			return err
		}
		defer a.close()
		q.Target = args[0]
		found, err := a.compare(cmd.Context(), q, texts, wait)
		if err != nil {
			return err
		}
		if asJSON {
			return json.NewEncoder(cmd.OutOrStdout()).Encode(found)
		}
		found.print(cmd.OutOrStdout())
		return nil
	}
	return cmd
}

// queryLines reads queries; empty lines are none.
func queryLines(in io.Reader, path string) (lines []string, err error) {
	switch path {
	case "":
		return nil, usagef("say --queries FILE, with a query a line")
	case "-":
	default:
		f, err := os.Open(path)
		if err != nil {
			return nil, usagef("%v", err)
		}
		defer func() { _ = f.Close() }()
		in = f
	}
	s := bufio.NewScanner(in)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		if line := strings.TrimSpace(s.Text()); line != "" {
			lines = append(lines, line)
		}
	}
	if err := s.Err(); err != nil {
		return nil, fmt.Errorf("read queries: %w", err)
	}
	if len(lines) == 0 {
		return nil, usagef("there is no query in %s", path)
	}
	return lines, nil
}

func (a *app) compare(ctx context.Context, q control.SearchQuery, texts []string, wait time.Duration) (c compared, err error) {
	if err := a.reachRows(ctx); err != nil {
		return c, err
	}
	e, err := a.comparable(q)
	if err != nil {
		return c, err
	}
	other := e.Now
	if other == e.Shown {
		other = e.Other
	}
	c = compared{Target: q.Target, Table: e.Table, Shown: stream.EditionName(e.Table, e.Shown), Other: stream.EditionName(e.Table, other), K: q.K}
	if err := a.awaitEditions(ctx, wait); err != nil {
		return c, err
	}
	search, done, err := a.searcher(ctx, q.Target)
	if err != nil {
		return c, err
	}
	defer done()
	for _, text := range texts {
		var found [2]control.SearchResult
		for i, table := range []string{c.Shown, c.Other} {
			q.Table, q.Text = table, text
			if found[i], err = search(ctx, q); err != nil {
				return c, err
			}
		}
		c.add(text, found[0].Hits, found[1].Hits)
	}
	return c, nil
}

// comparable is the table of the target that has two editions.
func (a *app) comparable(q control.SearchQuery) (e stream.Edition, err error) {
	shown, err := a.searchTable(q)
	if err != nil {
		return e, &exit{exitUsage, err.Error()}
	}
	for _, e := range a.revision.Editions {
		if stream.EditionName(e.Table, e.Shown) == shown && e.Other != 0 {
			return e, nil
		}
	}
	return e, usagef("target %s holds one edition only of table %s; there are two after the change of a table with `rollout: blue-green`", q.Target, shown)
}

// add takes what both editions found for a query.
func (c *compared) add(text string, shown, other []control.Hit) {
	row := func(h control.Hit) string { return h.Document + "\x00" + h.Key }
	document := func(h control.Hit) string { return h.Document }
	q := comparedQuery{Query: text, Lost: without(names(shown, document), names(other, document)), Gained: without(names(other, document), names(shown, document))}
	q.Rows, q.Documents = recall(names(shown, row), names(other, row)), recall(names(shown, document), names(other, document))
	c.Queries = append(c.Queries, q)
	n := float64(len(c.Queries))
	c.Rows += (q.Rows - c.Rows) / n
	c.Documents += (q.Documents - c.Documents) / n
}

// names are the distinct names of hits, in order.
func names(hits []control.Hit, of func(control.Hit) string) []string {
	all := []string{}
	for _, h := range hits {
		if n := of(h); !slices.Contains(all, n) {
			all = append(all, n)
		}
	}
	return all
}

// without are the names that are not among others.
func without(all, others []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(n string) bool { return slices.Contains(others, n) })
}

// recall is the part of what is wanted that was found; 1 when nothing is wanted.
func recall(wanted, found []string) float64 {
	if len(wanted) == 0 {
		return 1
	}
	return float64(len(wanted)-len(without(wanted, found))) / float64(len(wanted))
}

func (c compared) print(out io.Writer) {
	fmt.Fprintf(out, "table %s of target %s: %s against %s, which is shown, over %d queries\n", c.Table, c.Target, c.Other, c.Shown, len(c.Queries))
	fmt.Fprintf(out, "recall at %d: %.3f of the rows, %.3f of the documents\n", c.K, c.Rows, c.Documents)
	for _, q := range c.Queries {
		if len(q.Lost)+len(q.Gained) == 0 {
			continue
		}
		fmt.Fprintf(out, "%.3f  %s\n", q.Documents, q.Query)
		for _, d := range q.Lost {
			fmt.Fprintln(out, "   - "+d)
		}
		for _, d := range q.Gained {
			fmt.Fprintln(out, "   + "+d)
		}
	}
}
