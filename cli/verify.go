package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
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
	Repair      *repair                        `json:"repair,omitempty"`

	where map[int32]bool // partitions with differences; -1: of any
}

// repair is what --repair did about differences.
type repair struct {
	Partitions []int32                        `json:"partitions"` // that were built anew; none: all
	Left       map[kafka.DifferenceKind]int64 `json:"left"`       // what a second comparison found
	Unjudged   int64                          `json:"unjudged"`
}

// newVerify is `freshet verify`.
func newVerify(c *common) *cobra.Command {
	var asJSON, repairs bool
	var limit int
	cmd := &cobra.Command{
		Use:   "verify -f FLOW TARGET",
		Short: "Compare every row of a target with the rows topic",
		Long: "Compare every row of a target, vectors included, with what the rows topic says of it, and print the differences: rows " +
			"that are missing, rows that do not belong, edited columns, edited vectors, other versions. Values are not printed. " +
			"Nothing is written to the target, unless --repair is given: partitions with differences are then built anew from the rows " +
			"topic, as `freshet rebuild` does, and compared again. Replicas of `freshet run` may go on meanwhile, but for " +
			"the one that has a SQLite file open; a `freshet dev` is to be stopped first.",
		Args: exactly(1, "which target? e.g. verify local"),
	}
	find := c.siteFlags(cmd)
	cmd.Flags().IntVar(&limit, "limit", 20, "print at most so many differences; all are counted")
	cmd.Flags().BoolVar(&repairs, "repair", false, "build partitions with differences anew, and compare again")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if limit < 0 {
			return usagef("--limit %d: say how many differences, at least 0", limit)
		}
		var terminal io.Writer
		if !asJSON {
			terminal = cmd.ErrOrStderr()
		}
		v, err := verifyTarget(cmd.Context(), find, args[0], limit, terminal)
		if err == nil && repairs && v.total() > 0 {
			err = v.repair(cmd.Context(), find, terminal)
		}
		if err != nil {
			return err
		}
		return v.end(cmd.OutOrStdout(), asJSON)
	}
	return cmd
}

// verifyTarget compares a target with the rows topic once.
func verifyTarget(ctx context.Context, find func() (*app, error), name string, limit int, terminal io.Writer) (verified, error) {
	a, err := find()
	if err != nil {
		return verified{}, err
	}
	return a.verify(ctx, name, limit, newProgress(terminal, "verify "+name, "read"))
}

// repair builds the partitions with differences anew, and compares again.
func (v *verified) repair(ctx context.Context, find func() (*app, error), terminal io.Writer) error {
	r := &repair{Partitions: []int32{}}
	if !v.where[-1] {
		r.Partitions = slices.Sorted(maps.Keys(v.where))
	}
	a, err := find()
	if err != nil {
		return err
	}
	shown := &rebuildProgress{progress: newProgress(terminal, "rebuild "+v.Target, "partitions"), target: v.Target}
	_, err = a.rebuildTarget(ctx, v.Target, r.Partitions, shown)
	shown.Done()
	if err != nil {
		return err
	}
	again, err := verifyTarget(ctx, find, v.Target, 0, terminal)
	r.Left, r.Unjudged, v.Repair = again.Differences, again.Unjudged, r
	return err
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
	left := v.Differences
	if v.Repair != nil {
		left = v.Repair.Left
	}
	if sumOf(left) > 0 {
		return &exit{code: exitDifference}
	}
	return nil
}

func (v verified) total() int64 { return sumOf(v.Differences) }

func sumOf(differences map[kafka.DifferenceKind]int64) (n int64) {
	for _, of := range differences {
		n += of
	}
	return n
}

func kindsOf(d map[kafka.DifferenceKind]int64) string {
	return fmt.Sprintf("%d missing, %d extra, %d edited columns, %d edited vectors, %d other versions",
		d[kafka.Missing], d[kafka.Extra], d[kafka.EditedColumn], d[kafka.EditedVector], d[kafka.OtherVersion])
}

func (v verified) print(out io.Writer) {
	for _, d := range v.Found {
		fmt.Fprintln(out, d)
	}
	if more := v.total() - int64(len(v.Found)); more > 0 && len(v.Found) > 0 {
		fmt.Fprintf(out, "and %d more\n", more)
	}
	fmt.Fprintf(out, "target %s: %d rows compared, %d differences, in %.1f s\n", v.Target, v.Rows, v.total(), v.Seconds)
	switch {
	case v.Repair != nil:
		fmt.Fprintf(out, "  %s\n", kindsOf(v.Differences))
		v.Repair.print(out)
	case v.total() > 0:
		fmt.Fprintf(out, "  %s; to repair them, run: freshet verify %s --repair\n", kindsOf(v.Differences), v.Target)
	}
	if v.Behind > 0 {
		fmt.Fprintf(out, "  the target was %d records behind the rows topic\n", v.Behind)
	}
	if v.Unjudged > 0 {
		fmt.Fprintf(out, "  %d rows could not be judged: they changed meanwhile, or the target has not applied their last change\n", v.Unjudged)
	}
}

func (r repair) print(out io.Writer) {
	what := "all partitions were"
	switch len(r.Partitions) {
	case 0:
	case 1:
		what = "1 partition was"
	default:
		what = fmt.Sprintf("%d partitions were", len(r.Partitions))
	}
	fmt.Fprintf(out, "  %s built anew from the rows topic: %d differences left", what, sumOf(r.Left))
	if sumOf(r.Left) > 0 {
		fmt.Fprintf(out, " (%s)", kindsOf(r.Left))
	}
	fmt.Fprintln(out)
}

// verify compares a target with the rows topic. It ends the progress.
func (a *app) verify(ctx context.Context, name string, limit int, shown *progress) (v verified, err error) {
	defer a.close()
	defer shown.Done()
	if _, err := a.target(name); err != nil {
		return v, err
	}
	began := time.Now()
	if err := a.reachRows(ctx); err != nil {
		return v, err
	}
	t, err := a.target(name) // as the revision in force has it
	if err != nil {
		return v, err
	}
	c, done, err := a.verification(ctx, t)
	if err != nil {
		return v, err
	}
	defer done()
	v = verified{Target: name, Found: []kafka.Difference{}, where: map[int32]bool{}}
	c.Progress = func(doing string, done, total int64) { shown.Set(done, total, doing) }
	c.Differs = func(d kafka.Difference) error {
		v.where[d.Partition] = true
		if len(v.Found) < limit {
			v.Found = append(v.Found, d)
		}
		return nil
	}
	out, err := kafka.Verify(ctx, c)
	v.Rows, v.Differences, v.Unjudged, v.Behind, v.Seconds = out.Rows, out.Differences, out.Unjudged, out.Behind, time.Since(began).Seconds()
	return v, err
}

// reachTopics connects to the brokers that hold the topics of a flow that has run.
func (a *app) reachTopics(ctx context.Context) error {
	switch {
	case a.devProcess(ctx) != nil:
		return usagef("`freshet dev` runs flow %s, and keeps its broker and its targets to itself; stop it first", a.flow.Name)
	case a.embedded && !exists(filepath.Join(a.dataDir, "broker")):
		return usagef("flow %s has not run yet", a.flow.Name)
	}
	return asUsage(a.connect(ctx))
}

// reachRows is reachTopics, for the revision that is in force.
func (a *app) reachRows(ctx context.Context) error {
	if err := a.reachTopics(ctx); err != nil {
		return err
	}
	err := a.adopt(ctx)
	if err == nil {
		err = a.roll(ctx)
	}
	if err != nil {
		return err
	}
	if a.topics, err = a.cluster.EnsureTopics(ctx, a.flow.Name, a.kafkaSource()); err != nil {
		return asUsage(err)
	}
	return nil
}

// verification opens the target, and a ledger in a directory that goes away with done.
func (a *app) verification(ctx context.Context, t flow.Target) (c kafka.VerifyConfig, done func(), err error) {
	var closers []func()
	closeAll := func() {
		for _, fn := range slices.Backward(closers) {
			fn()
		}
	}
	defer func() {
		if err != nil {
			closeAll()
		}
	}()
	sink, err := a.sinkToRead(ctx, t)
	if err != nil {
		return c, nil, asUsage(err)
	}
	closers = append(closers, func() { _ = sink.Close() }) // nothing was written
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
		Tables: tablesOf(t), Keep: t.Where, Ledger: ledger}, closeAll, nil
}
