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

	"github.com/freshet-dev/freshet/flow"
	"github.com/freshet-dev/freshet/operators/split"
	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/engine"
	"github.com/freshet-dev/freshet/stream/kafka"
)

// planned is what `plan --json` prints.
type planned struct {
	Flow      string                  `json:"flow"`
	Changes   []string                `json:"changes"` // of the declaration, without what only lies below a change
	Documents int64                   `json:"documents"`
	Deleted   int64                   `json:"deleted"` // documents of sources that the flow no longer has
	Refused   int64                   `json:"refused"`
	Nodes     map[string]plannedNode  `json:"nodes"`
	Tables    map[string]plannedTable `json:"tables"`
	Targets   []string                `json:"targets"`
	Evolution []flow.Evolution        `json:"evolution"` // of sources, tables and targets
	Unsure    map[string]int64        `json:"unsure"`
	Seconds   float64                 `json:"seconds"`
	Sample    *sampled                `json:"sample,omitempty"`
}

type plannedNode struct {
	Computed int64   `json:"computed"`
	Reused   int64   `json:"reused"`
	Model    bool    `json:"model"`             // it calls a model
	Calls    int64   `json:"calls"`             // of the model, at least
	Tokens   int64   `json:"tokens"`            // of the inputs that are known
	Counted  int64   `json:"counted"`           // how many these are
	Money    float64 `json:"money,omitempty"`   // for the tokens, by the declared price
	Seconds  float64 `json:"seconds,omitempty"` // that the calls take at least, at the declared rate
}

type plannedTable struct {
	Added      int64 `json:"added"`
	Rewritten  int64 `json:"rewritten"`
	Removed    int64 `json:"removed"`
	Same       int64 `json:"same"`
	Recomputed int64 `json:"recomputed"` // rewritten unless what is computed for them turns out as it was
}

// planOptions are the flags of `freshet plan`.
type planOptions struct {
	sample      int // documents to be evaluated with models; 0: none
	yes, asJSON bool
	in          io.Reader
	out, apart  io.Writer // apart from the plan: what a sample costs, and the question
}

// newPlan is `freshet plan`.
func newPlan(c *common) *cobra.Command {
	var o planOptions
	cmd := &cobra.Command{
		Use:   "plan -f FLOW",
		Short: "Say what a changed flow file would cost, before anything happens",
		Long: "Compare the flow file with what the flow last ran with, and print what would follow: which documents are evaluated again, how " +
			"many elements each node computes and how many results are reused, calls and tokens of models, rows of each table, and what " +
			"changes of the targets. No model is called and nothing is written; cheap operators run, to count what lies below them. With --sample " +
			"some of the documents are evaluated as they would be, and their rows are compared with those that they have: that calls models for " +
			"what is not held yet, which is said before, asked for, and paid again when the change is applied; nothing is written either. The " +
			"state is read from the flow's changelog into a temporary directory, so replicas of `freshet run` may go on meanwhile; " +
			"a `freshet dev` is to be stopped first. It ends with exit code 4 when there is something to do.",
		Args: cobra.NoArgs,
	}
	find := c.siteFlags(cmd)
	cmd.Flags().IntVar(&o.sample, "sample", 0, "evaluate so many documents, models included, and show what changes of their rows")
	cmd.Flags().BoolVar(&o.yes, "yes", false, "do not ask before a sample calls models")
	cmd.Flags().BoolVar(&o.asJSON, "json", false, "print one JSON object")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := o.check(); err != nil {
			return err
		}
		a, err := find()
		if err != nil {
			return err
		}
		defer a.close()
		defer a.closeOperators()
		o.in, o.out, o.apart = cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr()
		return a.plan(cmd.Context(), o)
	}
	return cmd
}

func (o planOptions) check() error {
	switch {
	case o.sample < 0 || o.sample > maxSample:
		return usagef("--sample %d: say how many documents, at most %d", o.sample, maxSample)
	case o.sample > 0 && o.asJSON && !o.yes:
		return usagef("--sample may call models; with --json, say --yes too")
	}
	return nil
}

// plan compares the flow file with the recorded declaration, foresees the evaluation of every document, and evaluates the sample that is asked for.
// A sample that fails leaves the plan as it is.
func (a *app) plan(ctx context.Context, o planOptions) error {
	p, failed, err := a.planned(ctx, o)
	if err != nil {
		return err
	}
	if o.asJSON {
		if err := json.NewEncoder(o.out).Encode(p); err != nil {
			return err
		}
	} else if p.Sample != nil {
		p.Sample.print(o.out)
	}
	if failed == nil && !p.nothing() {
		return &exit{code: exitDifference}
	}
	return failed
}

// planned makes the plan, and shows it to people before a sample is taken. failed is why there is no sample.
func (a *app) planned(ctx context.Context, o planOptions) (p planned, failed, err error) {
	began := time.Now()
	if err := a.reachTopics(ctx); err != nil {
		return p, nil, err
	}
	now, old, err := a.recorded(ctx)
	if err != nil {
		return p, nil, err
	}
	if err := a.continues(*now.Declaration, old); err != nil {
		return p, nil, err
	}
	changes, targets := a.flow.Declaration().Changed(old), a.flow.Declaration().ChangedTargets(old)
	evolution := a.evolves(*now.Declaration, old)
	if err := a.foreseeEditions(ctx, now.Declaration); err != nil {
		return p, nil, err
	}
	held, err := a.copyState(ctx)
	if err != nil {
		return p, nil, err
	}
	defer func() { err = errors.Join(err, held.close()) }()
	p = planned{Flow: a.flow.Name, Changes: append([]string{}, changes...), Targets: targets,
		Evolution: append([]flow.Evolution{}, evolution...), Tables: map[string]plannedTable{}}
	f, err := engine.Foresee(ctx, a.flow.Program, held.all(), tokens())
	if err != nil {
		return p, nil, err
	}
	p.Documents, p.Deleted, p.Refused, p.Unsure, p.Seconds, p.Nodes = f.Documents, f.Deleted, f.Refused, f.Unsure, time.Since(began).Seconds(), plannedNodes(f)
	for name, t := range f.Tables {
		p.Tables[name] = plannedTable(t)
	}
	if !o.asJSON {
		p.print(o.out)
		printEvolution(o.out, p.Evolution, a.applying(p.Evolution))
	}
	if o.sample > 0 && p.Documents > 0 {
		p.Sample, failed = a.sample(ctx, held, o)
	}
	return p, failed, nil
}

func plannedNodes(f engine.Forecast) map[string]plannedNode {
	nodes := map[string]plannedNode{}
	for name, n := range f.Nodes {
		node := plannedNode{n.Computed, n.Reused, n.Costly, n.Calls, n.Size, n.Sized, float64(n.Size) * n.Price / 1e6, 0}
		if n.Rate > 0 {
			node.Seconds = float64(n.Calls) / n.Rate
		}
		nodes[name] = node
	}
	return nodes
}

// tokens returns what measures a model's input, and what is sent along with it; what is no text has none.
func tokens() engine.Measure {
	along := map[*stream.Node]int{}
	return func(n *stream.Node, in stream.Value) (int64, error) {
		own, err := split.Tokens(in.Str())
		i, instructed := n.Operator.(stream.Instructed)
		if err != nil || !instructed {
			return int64(own), err
		}
		more, known := along[n]
		if !known {
			if more, err = split.Tokens(i.Told()); err != nil {
				return 0, err
			}
			along[n] = more
		}
		return int64(own + more), nil
	}
}

// stateCopy is the flow's state as its processors committed it, in a directory of its own.
type stateCopy struct {
	dir    string
	stores map[int32]kafka.Store
}

func (a *app) copyState(ctx context.Context) (c stateCopy, err error) {
	if c.dir, err = os.MkdirTemp("", "freshet-plan-"); err != nil {
		return c, err
	}
	if c.stores, err = a.cluster.CopyState(ctx, a.flow.Name, stores{flow: a.flow.Name, dir: c.dir, log: a.log}); err != nil {
		err = errors.Join(err, c.close())
	}
	return c, err
}

func (c stateCopy) close() (err error) {
	for _, s := range c.stores {
		err = errors.Join(err, s.Close())
	}
	return errors.Join(err, os.RemoveAll(c.dir))
}

// all are the stores in order of their partitions.
func (c stateCopy) all() (all []engine.Store) {
	for _, id := range sortedKeys(c.stores) {
		all = append(all, c.stores[id])
	}
	return all
}

func (c stateCopy) byPartition() map[int32]engine.Store {
	all := map[int32]engine.Store{}
	for id, s := range c.stores {
		all[id] = s
	}
	return all
}

// nothing reports whether the flow already is what its file says.
func (p planned) nothing() bool {
	return len(p.Changes)+len(p.Targets) == 0 && p.Documents+p.Deleted == 0
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
	if p.Deleted > 0 {
		fmt.Fprintf(out, "%d documents of sources that are no longer there would be deleted\n", p.Deleted)
	}
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
	if n.Seconds > 0 {
		text += fmt.Sprintf(", %v at its rate", time.Duration(n.Seconds*float64(time.Second)).Round(time.Second/10))
	}
	return text
}
