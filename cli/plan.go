package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/freshet-dev/freshet/operators/split"
	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/engine"
)

// planned is what `plan --json` prints.
type planned struct {
	Flow      string                  `json:"flow"`
	Changes   []string                `json:"changes"` // of the declaration, without what only lies below a change
	Documents int64                   `json:"documents"`
	Refused   int64                   `json:"refused"`
	Nodes     map[string]plannedNode  `json:"nodes"`
	Tables    map[string]plannedTable `json:"tables"`
	Targets   []string                `json:"targets"`
	Unsure    map[string]int64        `json:"unsure"`
	Seconds   float64                 `json:"seconds"`
}

type plannedNode struct {
	Computed int64   `json:"computed"`
	Reused   int64   `json:"reused"`
	Model    bool    `json:"model"`           // it calls a model
	Calls    int64   `json:"calls"`           // of the model, at least
	Tokens   int64   `json:"tokens"`          // of the inputs that are known
	Counted  int64   `json:"counted"`         // how many these are
	Money    float64 `json:"money,omitempty"` // for the tokens, by the declared price
}

type plannedTable struct {
	Added      int64 `json:"added"`
	Rewritten  int64 `json:"rewritten"`
	Removed    int64 `json:"removed"`
	Same       int64 `json:"same"`
	Recomputed int64 `json:"recomputed"` // rewritten unless what is computed for them turns out as it was
}

// newPlan is `freshet plan`.
func newPlan(c *common) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "plan -f FLOW",
		Short: "Say what a changed flow file would cost, before anything happens",
		Long: "Compare the flow file with what the flow last ran with, and print what would follow: which documents are evaluated again, how " +
			"many elements each node computes and how many results are reused, calls and tokens of models, rows of each table, and what " +
			"changes of the targets. No model is called and nothing is written; cheap operators run, to count what lies below them. The " +
			"state is read from the flow's changelog into a temporary directory, so replicas of `freshet run` may go on meanwhile; " +
			"a `freshet dev` is to be stopped first. It ends with exit code 4 when there is something to do.",
		Args: cobra.NoArgs,
	}
	find := c.siteFlags(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		a, err := find()
		if err != nil {
			return err
		}
		defer a.close()
		p, err := a.plan(cmd.Context())
		if err != nil {
			return err
		}
		return p.end(cmd.OutOrStdout(), asJSON)
	}
	return cmd
}

// plan compares the flow file with the recorded declaration, and foresees the evaluation of every document.
func (a *app) plan(ctx context.Context) (p planned, err error) {
	began := time.Now()
	if err := a.reachTopics(ctx); err != nil {
		return p, err
	}
	_, old, err := a.recorded(ctx)
	if err != nil {
		return p, err
	}
	if err := a.renamed(old); err != nil {
		return p, err
	}
	p = planned{Flow: a.flow.Name, Changes: append([]string{}, a.flow.Declaration().Changed(old)...), Targets: a.flow.Declaration().ChangedTargets(old),
		Nodes: map[string]plannedNode{}, Tables: map[string]plannedTable{}}
	f, err := a.foresee(ctx)
	if err != nil {
		return p, err
	}
	p.Documents, p.Refused, p.Unsure, p.Seconds = f.Documents, f.Refused, f.Unsure, time.Since(began).Seconds()
	for name, n := range f.Nodes {
		p.Nodes[name] = plannedNode{n.Computed, n.Reused, n.Costly, n.Calls, n.Size, n.Sized, float64(n.Size) * n.Price / 1e6}
	}
	for name, t := range f.Tables {
		p.Tables[name] = plannedTable(t)
	}
	return p, nil
}

// foresee reads the flow's state, and evaluates its documents without calling a model.
func (a *app) foresee(ctx context.Context) (out engine.Forecast, err error) {
	dir, err := os.MkdirTemp("", "freshet-plan-")
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	copies, err := a.cluster.CopyState(ctx, a.flow.Name, stores{flow: a.flow.Name, dir: dir, log: a.log})
	if err != nil {
		return out, err
	}
	defer func() {
		for _, s := range copies {
			err = errors.Join(err, s.Close())
		}
	}()
	var all []engine.Store
	for _, id := range sortedKeys(copies) {
		all = append(all, copies[id])
	}
	return engine.Foresee(ctx, a.flow.Program, all, func(_ *stream.Node, in stream.Value) (int64, error) {
		n, err := split.Tokens(in.Str()) // of what is no text, nothing
		return int64(n), err
	})
}

// nothing reports whether the flow already is what its file says.
func (p planned) nothing() bool { return len(p.Changes)+len(p.Targets) == 0 && p.Documents == 0 }

// end prints the plan, and gives it the exit code.
func (p planned) end(out io.Writer, asJSON bool) error {
	if asJSON {
		if err := json.NewEncoder(out).Encode(p); err != nil {
			return err
		}
	} else {
		p.print(out)
	}
	if p.nothing() {
		return nil
	}
	return &exit{code: exitDifference}
}

func (p planned) print(out io.Writer) {
	if p.nothing() {
		fmt.Fprintf(out, "flow %s: nothing to do\n", p.Flow)
		return
	}
	fmt.Fprintf(out, "flow %s: %d documents to be evaluated\n", p.Flow, p.Documents)
	for _, c := range slices.Concat(p.Changes, p.Targets) {
		fmt.Fprintln(out, "  "+c)
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "node\tcomputed\treused\t")
	for _, name := range sortedKeys(p.Nodes) {
		fmt.Fprintf(table, "%s\t%d\t%d\t%s\n", name, p.Nodes[name].Computed, p.Nodes[name].Reused, p.Nodes[name].cost())
	}
	_ = table.Flush() // as every print to out
	fmt.Fprintln(table, "table\tadded\trewritten\tcomputed anew\tremoved\tas they are\t")
	for _, name := range sortedKeys(p.Tables) {
		t := p.Tables[name]
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%d\t%d\t\n", name, t.Added, t.Rewritten, t.Recomputed, t.Removed, t.Same)
	}
	_ = table.Flush()
	if p.Refused > 0 {
		fmt.Fprintf(out, "%d documents would be quarantined; they keep their rows\n", p.Refused)
	}
	for _, what := range sortedKeys(p.Unsure) {
		fmt.Fprintf(out, "not known before it runs, in %d documents: %s\n", p.Unsure[what], what)
	}
}

// cost says what a model is asked for.
func (n plannedNode) cost() string {
	if !n.Model || n.Computed == 0 {
		return ""
	}
	text := fmt.Sprintf("at least %d calls, %d tokens", n.Calls, n.Tokens)
	if n.Counted < n.Computed {
		text += fmt.Sprintf(" in the %d inputs that are known", n.Counted)
	}
	if n.Money > 0 {
		text += fmt.Sprintf(", which cost %.4g", n.Money)
	}
	return text
}
