package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/freshet-dev/freshet/flow"
	"github.com/freshet-dev/freshet/statestore"
	"github.com/freshet-dev/freshet/stream/kafka"
)

// verified is what `verify --json` prints.
type verified struct {
	Target      string                         `json:"target"`
	Rows        int64                          `json:"rows"` // that the target holds
	Differences map[kafka.DifferenceKind]int64 `json:"differences"`
	Unjudged    int64                          `json:"unjudged"`
	Behind      int64                          `json:"behind"`
	Seconds     float64                        `json:"seconds"`
	Found       []kafka.Difference             `json:"found"` // the first of them
}

// newVerify is `freshet verify`.
func newVerify(c *common) *cobra.Command {
	var asJSON bool
	var limit int
	cmd := &cobra.Command{
		Use:   "verify -f FLOW TARGET",
		Short: "Compare every row of a target with the rows topic",
		Long: "Compare every row of a target, vectors included, with what the rows topic says of it, and print the differences: rows " +
			"that are missing, rows that do not belong, edited columns, edited vectors, other versions. Values are not printed. " +
			"Nothing is written to the target; `freshet rebuild TARGET` repairs it. Replicas of `freshet run` may go on meanwhile, but for " +
			"the one that has a SQLite file open; a `freshet dev` is to be stopped first.",
		Args: exactly(1, "which target? e.g. verify local"),
	}
	find := c.siteFlags(cmd)
	cmd.Flags().IntVar(&limit, "limit", 20, "print at most so many differences; all are counted")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if limit < 0 {
			return usagef("--limit %d: say how many differences, at least 0", limit)
		}
		a, err := find()
		if err != nil {
			return err
		}
		var terminal io.Writer
		if !asJSON {
			terminal = cmd.ErrOrStderr()
		}
		v, err := a.verify(cmd.Context(), args[0], limit, newProgress(terminal, "verify "+args[0], "read"))
		if err != nil {
			return err
		}
		return v.end(cmd.OutOrStdout(), asJSON)
	}
	return cmd
}

// end prints what was found, and gives it the exit code.
func (v verified) end(out io.Writer, asJSON bool) error {
	if asJSON {
		if err := json.NewEncoder(out).Encode(v); err != nil {
			return err
		}
	} else {
		v.print(out)
	}
	if v.total() > 0 {
		return &exit{code: exitDifference}
	}
	return nil
}

func (v verified) total() (n int64) {
	for _, of := range v.Differences {
		n += of
	}
	return n
}

func (v verified) print(out io.Writer) {
	for _, d := range v.Found {
		fmt.Fprintln(out, d)
	}
	if more := v.total() - int64(len(v.Found)); more > 0 && len(v.Found) > 0 {
		fmt.Fprintf(out, "and %d more\n", more)
	}
	fmt.Fprintf(out, "target %s: %d rows compared, %d differences, in %.1f s\n", v.Target, v.Rows, v.total(), v.Seconds)
	if v.total() > 0 {
		d := v.Differences
		fmt.Fprintf(out, "  %d missing, %d extra, %d edited columns, %d edited vectors, %d other versions; to repair them, run: freshet rebuild %s\n",
			d[kafka.Missing], d[kafka.Extra], d[kafka.EditedColumn], d[kafka.EditedVector], d[kafka.OtherVersion], v.Target)
	}
	if v.Behind > 0 {
		fmt.Fprintf(out, "  the target was %d records behind the rows topic\n", v.Behind)
	}
	if v.Unjudged > 0 {
		fmt.Fprintf(out, "  %d rows could not be judged: they changed meanwhile, or the target has not applied their last change\n", v.Unjudged)
	}
}

// verify compares a target with the rows topic. It ends the progress.
func (a *app) verify(ctx context.Context, name string, limit int, shown *progress) (v verified, err error) {
	defer a.close()
	defer shown.Done()
	t, err := a.target(name)
	if err != nil {
		return v, err
	}
	began := time.Now()
	if err := a.reachRows(ctx); err != nil {
		return v, err
	}
	c, done, err := a.verification(ctx, t)
	if err != nil {
		return v, err
	}
	defer done()
	v = verified{Target: name, Found: []kafka.Difference{}}
	c.Progress = func(doing string, done, total int64) { shown.Set(done, total, doing) }
	c.Differs = func(d kafka.Difference) error {
		if len(v.Found) < limit {
			v.Found = append(v.Found, d)
		}
		return nil
	}
	out, err := kafka.Verify(ctx, c)
	v.Rows, v.Differences, v.Unjudged, v.Behind, v.Seconds = out.Rows, out.Differences, out.Unjudged, out.Behind, time.Since(began).Seconds()
	return v, err
}

// reachRows connects to the brokers, and refuses a flow file that says something else than the flow last ran with.
func (a *app) reachRows(ctx context.Context) error {
	switch {
	case a.devProcess(ctx) != nil:
		return usagef("`freshet dev` runs flow %s, and keeps its broker and its targets to itself; stop it first", a.flow.Name)
	case a.embedded && !exists(filepath.Join(a.dataDir, "broker")):
		return usagef("flow %s has not run yet", a.flow.Name)
	}
	if err := a.connect(ctx); err != nil {
		return asUsage(err)
	}
	var err error
	if a.topics, err = a.cluster.EnsureTopics(ctx, a.flow.Name, a.kafkaSource()); err != nil {
		return asUsage(err)
	}
	return a.compareDeclaration(ctx)
}

// verification opens the target, and a ledger in a directory that goes away with done.
func (a *app) verification(ctx context.Context, t flow.Target) (c kafka.VerifyConfig, done func(), err error) {
	var closers []func()
	done = func() {
		for _, fn := range slices.Backward(closers) {
			fn()
		}
	}
	defer func() {
		if err != nil {
			done()
		}
	}()
	sink, err := t.Spec.New(t.Config)
	if err != nil {
		return c, nil, err
	}
	closers = append(closers, func() { _ = sink.Close() }) // nothing was written
	changed, err := sink.Open(ctx, a.flow.Name, t.Name)
	if err == nil && len(changed) > 0 {
		err = usagef("target %s does not hold table %s as the flow declares it; run the flow first", t.Name, strings.Join(changed, ", "))
	}
	if err != nil {
		return c, nil, asUsage(err)
	}
	dir, err := os.MkdirTemp("", "freshet-verify-")
	if err != nil {
		return c, nil, err
	}
	closers = append(closers, func() { _ = os.RemoveAll(dir) })
	ledger, err := statestore.Open(filepath.Join(dir, "ledger"), statestore.Identity{Flow: a.flow.Name}, a.log)
	if err != nil {
		return c, nil, err
	}
	closers = append(closers, func() { _ = ledger.Close() }) // it is thrown away
	return kafka.VerifyConfig{Cluster: a.cluster, Topics: a.topics, Target: t.Name, Logic: a.flow.Program.Logic(), Sink: sink,
		Tables: tablesOf(t), Keep: t.Where, Ledger: ledger}, done, nil
}
