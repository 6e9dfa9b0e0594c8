package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/freshet-dev/freshet/stream/engine"
	"github.com/freshet-dev/freshet/stream/kafka"
)

// newDev is `freshet dev`: everything in one process, on an in-process broker.
func newDev(c *common) *cobra.Command {
	var once, asJSON bool
	cmd := &cobra.Command{
		Use:   "dev -f FLOW",
		Short: "Run a flow in this process, with a broker of its own",
		Long: "Run a flow in this process, with a broker of its own. State lies below .freshet/ beside the flow file, so the next " +
			"start goes on where this one was, also after kill -9. A changed flow evaluates every document again, live changes first.",
		Args: cobra.NoArgs,
	}
	o := c.flowFlags(cmd)
	o.listenFlag(cmd)
	cmd.Flags().BoolVar(&once, "once", false, "leave when nothing is pending and every target has caught up")
	cmd.Flags().BoolVar(&asJSON, "json", false, "with --once: print one JSON object")
	cmd.Flags().StringSliceVar(&o.targets, "targets", nil, "only these targets")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		o.embedded, o.roles = true, []string{"all"}
		return runFlow(cmd.Context(), o, once, asJSON, cmd.OutOrStdout())
	}
	return cmd
}

// newRun is `freshet run`: one replica of a flow, on a Kafka cluster.
func newRun(c *common) *cobra.Command {
	var once, asJSON bool
	cmd := &cobra.Command{
		Use:   "run -f FLOW [FLOW...]",
		Short: "Run one replica of a flow on a Kafka cluster",
		Long: "Run one replica of a flow on a Kafka cluster. The first start records the flow file; from then on all replicas run the revision that " +
			"is recorded, whatever their files say, until `freshet apply` records another, which they take over within seconds. Flow files that are named " +
			"besides run in the same process, each with topics, groups, state and a control address of its own.",
	}
	o := c.flowFlags(cmd)
	o.listenFlag(cmd)
	cmd.Flags().StringSliceVar(&o.roles, "role", []string{"all"}, "what this process does: watch, intake, process, sinks, sink:NAME, all")
	cmd.Flags().IntVar(&o.replica, "replica", 0, "ordinal of this replica; each running one needs its own")
	cmd.Flags().BoolVar(&once, "once", false, "leave when nothing is pending and every target has caught up")
	cmd.Flags().BoolVar(&asJSON, "json", false, "with --once: print one JSON object")
	cmd.Flags().StringSliceVar(&o.targets, "targets", nil, "only these targets")
	cmd.RunE = func(cmd *cobra.Command, more []string) error {
		if len(more) == 0 {
			return runFlow(cmd.Context(), o, once, asJSON, cmd.OutOrStdout())
		}
		all, err := o.several(more)
		if err != nil {
			return err
		}
		return runFlows(cmd.Context(), all, once, asJSON, cmd.OutOrStdout())
	}
	return cmd
}

func runFlow(ctx context.Context, o *options, once, asJSON bool, out io.Writer) error {
	began := time.Now()
	report, err := serveRevisions(ctx, *o, once)
	if err != nil || !once || ctx.Err() != nil {
		return err
	}
	report.Seconds = time.Since(began).Seconds()
	if asJSON {
		err = json.NewEncoder(out).Encode(report)
	} else {
		report.print(out)
	}
	if err == nil && report.Quarantined > 0 {
		return &exit{code: exitQuarantined}
	}
	return err
}

// warn logs what the flow file allows but probably does not mean.
func (a *app) warn() {
	for _, w := range a.flow.Warnings {
		a.log.Warn(w.String())
	}
}

// serve runs the app until ctx ends or, with once, until it has caught up; then it reports what this run did.
func (a *app) serve(ctx context.Context, once bool) (r Report, err error) {
	defer a.close()
	if err := a.listenControl(); err != nil {
		return r, err
	}
	if err := a.connect(ctx); err != nil {
		return r, asUsage(err)
	}
	if err := a.prepare(ctx); err != nil {
		return r, asUsage(err)
	}
	running, stop := context.WithCancel(ctx)
	defer stop()
	if err := a.start(running); err != nil {
		return r, err
	}
	if err := a.serveControl(running); err != nil {
		return r, err
	}
	caught := make(chan error, 1)
	go func() {
		if !once {
			caught <- nil
			return
		}
		err := a.awaitCaughtUp(running)
		if err == nil {
			r = a.report()
		}
		stop()
		caught <- err
	}()
	if err := a.run(running); err != nil {
		stop()
		<-caught
		return r, err
	}
	if err := <-caught; err != nil && !errors.Is(err, context.Canceled) {
		return r, err
	}
	if once && !a.embedded { // nobody restarts it, and the next command asks the groups who is there
		a.cluster.Leave(ctx, a.instance(), a.groups()...)
	}
	return r, nil
}

// groups are those that this process's roles take part in.
func (a *app) groups() (all []string) {
	if a.processor != nil {
		all = append(all, kafka.ProcessorGroup(a.flow.Name))
	}
	if a.intake != nil {
		all = append(all, kafka.IntakeGroup(a.flow.Name))
	}
	for _, t := range a.flow.Targets {
		if a.delivers(t.Name) {
			all = append(all, kafka.TargetGroup(a.flow.Name, t.Name))
		}
	}
	return all
}

// Report is what `--once --json` prints. Documents, Deleted, Noop, Computed, Reused, Upserts and Deletes count this run;
// Quarantined, Rows and Lag are the state at exit.
type Report struct {
	Documents   int64                       `json:"documents"` // evaluated
	Deleted     int64                       `json:"deleted"`
	Noop        int64                       `json:"noop"`
	Quarantined int64                       `json:"quarantined"`
	Nodes       map[string]engine.NodeCount `json:"nodes"`
	Tables      map[string]TableReport      `json:"tables"`
	Targets     map[string]TargetReport     `json:"targets"`
	Seconds     float64                     `json:"seconds"`
}

// TableReport is a table's part of a Report.
type TableReport struct {
	Upserts int64 `json:"upserts"`
	Deletes int64 `json:"deletes"`
	Rows    int64 `json:"rows"`
}

// TargetReport is a target's part of a Report.
type TargetReport struct {
	Lag int64 `json:"lag"`
}

func (a *app) report() Report {
	c := a.totals.Snapshot()
	r := Report{Documents: c.Evaluated, Deleted: c.Deleted, Noop: c.Noop, Nodes: map[string]engine.NodeCount{},
		Tables: map[string]TableReport{}, Targets: map[string]TargetReport{}}
	var held engine.Stats
	if a.processor != nil {
		held = kafka.Totals(a.processor.Status())
	}
	r.Quarantined = held.Quarantined + held.Rejected
	for _, n := range a.flow.Program.Nodes() {
		r.Nodes[n] = c.Nodes[n]
	}
	for _, t := range a.flow.Program.Tables() {
		r.Tables[t.Name] = TableReport{c.Tables[t.Name].Upserts, c.Tables[t.Name].Deletes, held.Rows[t.Name]}
	}
	for _, t := range a.flow.Targets {
		if a.delivers(t.Name) {
			r.Targets[t.Name] = TargetReport{}
		}
	}
	return r
}

func (r Report) print(out io.Writer) {
	fmt.Fprintf(out, "%d documents evaluated, %d deleted, %d unchanged, %d quarantined, in %.1f s\n", r.Documents, r.Deleted, r.Noop, r.Quarantined, r.Seconds)
	for _, n := range sortedKeys(r.Nodes) {
		fmt.Fprintf(out, "  node %-12s %6d computed %6d reused\n", n, r.Nodes[n].Computed, r.Nodes[n].Reused)
	}
	for _, t := range sortedKeys(r.Tables) {
		fmt.Fprintf(out, "  table %-11s %6d written %6d deleted %6d rows\n", t, r.Tables[t].Upserts, r.Tables[t].Deletes, r.Tables[t].Rows)
	}
}
